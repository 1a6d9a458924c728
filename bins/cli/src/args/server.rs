//! The part of the command line that names a server.

use std::path::PathBuf;

use clap::Args as Group;

/// Who asks a server.
#[derive(Debug, Clone, Group)]
pub(crate) struct Access {
    /// The token that the server's operator gave you [default: the variable BEACON_TOKEN, which other users of this
    /// machine cannot see]
    #[arg(long, requires = "server")]
    pub(crate) token: Option<String>,
    /// The certificates to trust, PEM, for a server of a private authority [default: the public authorities]
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// A key in the place of a token.
#[derive(Debug, Clone, Group)]
pub(crate) struct Signed {
    /// Sign the request with this secret seed, that of the key which signed the job; no token is needed then
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(crate) key: Option<PathBuf>,
}

/// A server in the place of a database.
#[derive(Debug, Clone, Group)]
pub(crate) struct MaybeServer {
    /// Ask the API of this server, not a database: http://HOST:PORT or https://HOST
    #[arg(long, value_name = "URL", conflicts_with_all = ["db", "database_url", "runner_key"])]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) access: Access,
}

/// A server, and nothing else.
#[derive(Debug, Clone, Group)]
pub(crate) struct OnServer {
    /// Where beacon-api serves: http://HOST:PORT or https://HOST
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) access: Access,
    /// Seconds that a watched server may be away, as when it is started again, and that a submission waits where the server
    /// asks for a pause, before the command gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) patience: u64,
}

#[derive(Debug, Group)]
#[command(after_help = "The same file may be submitted again: the server knows the job and changes nothing.
A job is signed by `beacon sign`; the server takes it for a few minutes after that.")]
pub(crate) struct Submit {
    /// The signed job; its bytes are sent as they are
    pub(crate) job: PathBuf,
    #[command(flatten)]
    pub(crate) on: OnServer,
    /// Accept cells that no endpoint serves, as `unsupported`; the server wants to know who decides that: a token of the
    /// scope operate, or --key
    #[arg(long)]
    pub(crate) accept_unsupported: bool,
    #[command(flatten)]
    pub(crate) signed: Signed,
    /// Then watch it until it ends, as `beacon watch` does
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Group)]
#[command(after_help = "Ctrl-C ends the watching, not the job. A server that dies meanwhile is waited for.")]
pub(crate) struct Watch {
    /// The job: the signer's id for it, or its own id or 4 and more digits of its beginning
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) on: OnServer,
}

#[derive(Debug, Group)]
#[command(
    after_help = "The job asks one question of three models in three regions (examples/unsigned/three-models.json), \
under a new id and nonce each time.
Without --key it is signed with the published example key, which only a test server trusts."
)]
pub(crate) struct Smoke {
    #[command(flatten)]
    pub(crate) on: OnServer,
    /// Sign with this secret seed, made by keygen, whose public half the server trusts [default: the example key]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The runner's public key that must have signed the receipts, as `beacon runner-key` prints it
    #[arg(long)]
    pub(crate) runner_key: Option<String>,
}

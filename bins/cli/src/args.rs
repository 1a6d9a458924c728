//! The command line.

mod server;

use std::{net::SocketAddr, path::PathBuf};

use beacon_boot::LogFormat;
use beacon_spec::Profile;
use clap::{Args as Group, Parser, Subcommand, ValueEnum};

pub(crate) use self::server::{Access, MaybeServer, OnServer, Signed, Smoke, Submit, Watch};
use crate::simulated::{self, Cells};

/// Runs signed jobs of questions × models × regions over serverless GPU endpoints: within every endpoint's limit,
/// with a signed receipt for each answer, and without losing anything when a process dies.
#[derive(Debug, Parser)]
#[command(name = "beacon", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log more: -v for what happens, -vv for everything. RUST_LOG overrides it.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log lines as JSON objects.
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0  done; for run: all that an endpoint serves completed; for verify: the verdict is good
  1  could not start, or could not print what it found
  2  the input cannot be used: command line, file, spec, signature, key, plan or endpoint
  3  the job ended, but not every execution completed; for smoke: not every check holds
  4  stopped before the job ended; the same command resumes it
  5  the database is occupied, full, read-only or broken; or the server is away, broken or busy";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a signing key and its entry for a key ring
    Keygen(Keygen),
    /// Sign a job
    Sign(Sign),
    /// Print the headers that let a key steer its own jobs over HTTP
    SignRequest(SignRequest),
    /// Check a signed job, or a job's exported receipts
    Verify(Verify),
    /// Print the JSON Schema of a job
    Schema,
    /// Show what a job would run, without running it
    Plan(Plan),
    /// Verify, plan and run a job; the same command again resumes it
    Run(Run),
    /// Run the failed executions of a job again, as a new job
    Retry(Retry),
    /// Submit a signed job to a server
    Submit(Submit),
    /// Watch a job of a server until it ends; the exit code says how
    Watch(Watch),
    /// Send a small job through a server and check all that comes back
    Smoke(Smoke),
    /// Ask every configured address of the endpoints and explain what is wrong
    Check(Check),
    /// Serve simulated endpoints
    Simulate(Simulate),
    /// List jobs
    Jobs(Jobs),
    /// Show one job: its questions, endpoints and why executions wait
    Show(OneJob),
    /// Stop starting calls of a job; calls in flight go on, and so does its deadline
    Pause(Steer),
    /// Let a paused job go on
    Resume(Steer),
    /// Cancel a job
    Cancel(Steer),
    /// Export answers
    Results(Results),
    /// Export the signed receipts and the close, one JSON object per line
    Receipts(OneJob),
    /// Print the public key that signs the receipts of a database
    RunnerKey(Database),
    /// Print shell completions
    Completions(Completions),
}

#[derive(Debug, Group)]
pub(crate) struct Keygen {
    /// Where the secret seed goes; only its owner can read it, and an existing file is never overwritten
    #[arg(long, default_value = "signing.key")]
    pub(crate) out: PathBuf,
    /// The key's id in the ring
    #[arg(long, default_value = "my-key")]
    pub(crate) kid: String,
}

#[derive(Debug, Group)]
pub(crate) struct Sign {
    /// The job, JSON; one that the same key signed before gets a new time stamp and nonce
    pub(crate) job: PathBuf,
    /// The secret seed made by keygen
    #[arg(long)]
    pub(crate) key: PathBuf,
    /// Where the signed job goes, replaced whole; never the job itself [default: standard output]
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// What is signed: P; or L1, L2, L3, L4 for old verifiers that know nothing newer
    #[arg(long, default_value_t = Profile::Jcs)]
    pub(crate) profile: Profile,
    /// Make a DSSE envelope: the job's bytes are signed as they are sent
    #[arg(long, conflicts_with = "profile")]
    pub(crate) dsse: bool,
    /// Replace the time stamp and the nonce that the job has
    #[arg(long)]
    pub(crate) refresh: bool,
}

#[derive(Debug, Group)]
pub(crate) struct SignRequest {
    /// The method, such as POST
    pub(crate) method: String,
    /// The whole URL
    pub(crate) url: String,
    /// The secret seed made by keygen
    #[arg(long)]
    pub(crate) key: PathBuf,
    /// The file that is sent as the body [default: no body]
    #[arg(long)]
    pub(crate) body: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Verify {
    /// A signed job, or receipts exported by `beacon receipts`
    pub(crate) file: PathBuf,
    /// The ring of trusted keys [default: keys.json beside the file]
    #[arg(long)]
    pub(crate) keys: Option<PathBuf>,
    /// Canonical bytes to compare with; the first difference is shown
    #[arg(long)]
    pub(crate) canonical: Option<PathBuf>,
    /// For receipts: the signed job that they must be about
    #[arg(long)]
    pub(crate) job: Option<PathBuf>,
    /// For receipts: the runner's public key that must have signed them, as `beacon runner-key` prints it
    #[arg(long)]
    pub(crate) runner_key: Option<String>,
}

#[derive(Debug, Clone, Group)]
pub(crate) struct JobFile {
    /// The signed job
    pub(crate) job: PathBuf,
    /// The ring of trusted keys [default: keys.json beside the job]
    #[arg(long)]
    pub(crate) keys: Option<PathBuf>,
    /// The endpoints file [default: simulated endpoints]
    #[arg(long)]
    pub(crate) endpoints: Option<PathBuf>,
    /// How questions follow each other
    #[arg(long, value_enum, default_value = "question")]
    pub(crate) batching: BatchingArg,
    /// Accept cells that no endpoint serves, as `unsupported`
    #[arg(long)]
    pub(crate) accept_unsupported: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BatchingArg {
    /// A question starts when the one before it is done everywhere
    Question,
    /// Every endpoint goes through the questions at its own pace; faster
    Endpoint,
}

#[derive(Debug, Group)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) file: JobFile,
}

#[derive(Debug, Group)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) file: JobFile,
    #[command(flatten)]
    pub(crate) database: Database,
    /// Run the job anew even if it has run before
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Calls in flight in this process
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) slots: u32,
    /// Seconds that the database may fail, as on a full disk, before the run gives up; until then answers wait in
    /// memory and no call is started
    #[arg(long, default_value_t = 300)]
    pub(crate) patience: u64,
    /// Seconds that an endpoint may be away (no connection, a stopped app) before executions fail by it; until then they
    /// wait, and none of their attempts is used up
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) endpoint_patience: u64,
}

#[derive(Debug, Group)]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) run: Run,
    /// The executions to run again: those that failed or timed out
    #[arg(long, required = true)]
    pub(crate) failed: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Check {
    /// The endpoints file
    #[arg(long)]
    pub(crate) endpoints: PathBuf,
    /// Also send one small real request to each endpoint; it may start containers and cost money
    #[arg(long)]
    pub(crate) call: bool,
}

#[derive(Debug, Group)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct Simulate {
    /// The endpoints to simulate, TOML (docs/CONFIG.md)
    #[arg(long, value_name = "FILE", group = "what")]
    pub(crate) config: Option<PathBuf>,
    /// Simulate these instead, without a file; MODEL alone is every region
    #[arg(
        long,
        value_name = "MODEL@REGION",
        value_delimiter = ',',
        value_parser = simulated::parse_cells,
        group = "what"
    )]
    pub(crate) cells: Vec<Cells>,
    /// With --cells: the start-up of a container in seconds
    #[arg(long, default_value_t = 1.5, conflicts_with = "config")]
    pub(crate) cold_s: f64,
    /// With --cells: an answer of a warm container in seconds
    #[arg(long, default_value_t = 0.2, conflicts_with = "config")]
    pub(crate) warm_s: f64,
    /// Where to listen; loopback unless you mean otherwise
    #[arg(long, default_value = "127.0.0.1:8900")]
    pub(crate) listen: SocketAddr,
    /// Write the file that `beacon run --endpoints` needs to call these endpoints
    #[arg(long, value_name = "FILE")]
    pub(crate) write_endpoints: Option<PathBuf>,
}

/// Where jobs are kept.
#[derive(Debug, Group)]
pub(crate) struct Database {
    /// The database file [default: beacon.db]
    #[arg(long)]
    pub(crate) db: Option<PathBuf>,
    /// A PostgreSQL database instead, shared with other processes: postgres://user:password@host/database
    /// [default without --db: the variable BEACON__DATABASE__URL, if it is set]
    #[arg(long, value_name = "URL", conflicts_with = "db")]
    pub(crate) database_url: Option<String>,
    /// The secret key that signs receipts [default: beside the database file, or beacon.runner-key]
    #[arg(long, value_name = "FILE")]
    pub(crate) runner_key: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Jobs {
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) on: MaybeServer,
    /// The most jobs listed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[derive(Debug, Group)]
pub(crate) struct OneJob {
    /// The job: the signer's id for it, or its own id or 4 and more digits of its beginning
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) on: MaybeServer,
}

#[derive(Debug, Group)]
pub(crate) struct Steer {
    #[command(flatten)]
    pub(crate) job: OneJob,
    #[command(flatten)]
    pub(crate) signed: Signed,
}

#[derive(Debug, Group)]
pub(crate) struct Results {
    #[command(flatten)]
    pub(crate) job: OneJob,
    /// How to print them
    #[arg(long, value_enum, default_value = "table", default_value_if("json", "true", "jsonl"))]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON object per line, with everything: of a database as it is stored there, with --server as the API has it.
    /// The two have different shapes
    Jsonl,
    /// For spreadsheets
    Csv,
    /// For data frames; with --server
    Parquet,
}

#[derive(Debug, Group)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

impl Args {
    pub(crate) fn log_level(&self) -> &'static str {
        match self.verbose {
            0 => "warn",
            1 => "beacon=info,beacon_scheduler=info,beacon_store=info,warn",
            _ => "debug",
        }
    }

    pub(crate) fn log_format(&self) -> LogFormat {
        if self.log_json { LogFormat::Json } else { LogFormat::Text }
    }
}

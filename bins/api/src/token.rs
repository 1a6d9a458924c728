//! `beacon-api token`: tokens for people and programs, made and revoked beside the running service.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, ensure};
use beacon_boot::{Runtime, ServiceConfig};
use beacon_domain::{ApiToken, AuditEntry, COMMAND_LINE, Operations, Scope, TokenSecret};
use beacon_spec::Timestamp;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

/// What is done about tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token and print it once; the database keeps its hash only
    New(New),
    /// List tokens, the newest first
    List {
        /// The most tokens listed
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token for good
    Revoke {
        /// Its id, as `beacon-api token list` shows it
        id: String,
    },
}

/// A token to be made.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// What it is for
    #[arg(long)]
    name: String,
    /// What it allows
    #[arg(long, value_enum)]
    scope: ScopeArg,
    /// Days until it allows nothing any more [default: it does not expire]
    #[arg(long)]
    expires_days: Option<u32>,
    /// Print a JSON object instead of the token alone
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScopeArg {
    /// To look
    Read,
    /// To look, and to cancel, pause, resume and retry jobs
    Operate,
    /// All of that, and to change endpoints, keys, quotas and tokens
    Admin,
}

const DAY: Duration = Duration::from_secs(24 * 3600);
const LONGEST_NAME: usize = 255;

/// Does it.
pub(crate) async fn run(config: &ServiceConfig, command: Token) -> anyhow::Result<()> {
    let runtime = Runtime::connect(&config.database, "beacon-api").await?;
    let (store, now) = (runtime.operations.as_ref(), runtime.clock.now());
    match command {
        Token::New(new) => new.make(store, now).await,
        Token::List { limit, json } => list(store, limit, json, now).await,
        Token::Revoke { id } => revoke(store, &id, now).await,
    }
}

impl New {
    async fn make(self, store: &dyn Operations, now: Timestamp) -> anyhow::Result<()> {
        let chars = self.name.chars().count();
        ensure!(
            (1..=LONGEST_NAME).contains(&chars) && !self.name.chars().any(char::is_control),
            "--name must have 1 to {LONGEST_NAME} characters without control characters"
        );
        let lasts = self.expires_days.map(|days| DAY.checked_mul(days).context("so many days are too many"));
        let expires_at = match lasts.transpose()? {
            Some(lasts) => Some(now.checked_add(lasts).context("so many days are too many")?),
            None => None,
        };
        let scope = match self.scope {
            ScopeArg::Read => Scope::Read,
            ScopeArg::Operate => Scope::Operate,
            ScopeArg::Admin => Scope::Admin,
        };
        let secret = TokenSecret::of(rand::random(), rand::random());
        let token = ApiToken::new(&secret, &self.name, scope, expires_at, now);
        store.add_token(token.clone()).await?;
        let detail = format!("{scope}, {:?}", token.name);
        note(store, "token.new", &token.id, Some(detail), now).await?;
        if self.json {
            let mut object = serde_json::to_value(&token)?;
            object["token"] = json!(secret.reveal());
            return line(object);
        }
        line(secret.reveal())
    }
}

async fn list(store: &dyn Operations, limit: u32, as_json: bool, now: Timestamp) -> anyhow::Result<()> {
    for token in store.tokens(limit).await? {
        if as_json {
            line(serde_json::to_string(&token)?)?;
            continue;
        }
        let standing = match (token.revoked_at, token.expires_at) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) if at <= now => format!("expired {at}"),
            (None, Some(at)) => format!("expires {at}"),
            (None, None) => "does not expire".to_owned(),
        };
        let used = token.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
        line(format_args!("{}  {:<8} {}  {standing}, {used}", token.id, token.scope, token.name))?;
    }
    Ok(())
}

async fn revoke(store: &dyn Operations, id: &str, now: Timestamp) -> anyhow::Result<()> {
    let there = store.revoke_token(id.to_owned(), now).await?;
    ensure!(there, "there is no token {id:?}; `beacon-api token list` shows them");
    note(store, "token.revoke", id, None, now).await?;
    line(format_args!("revoked {id}"))
}

async fn note(
    store: &dyn Operations,
    action: &str,
    subject: &str,
    detail: Option<String>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let entry = AuditEntry {
        at: now,
        who: COMMAND_LINE.to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail,
        request_id: None,
    };
    Ok(store.note(entry).await?)
}

fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

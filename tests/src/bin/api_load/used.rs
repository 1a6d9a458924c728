//! What processes have used so far (Linux): processor time of the API, of PostgreSQL and of this client.

use std::fs;

use beacon_testkit::Cluster;

/// Ticks per second of the times in /proc: 100 on every Linux (proc(5), `_SC_CLK_TCK`).
const TICKS: f64 = 100.0;

/// Processor time so far, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) api_s: f64,
    pub(crate) postgres_s: f64,
    pub(crate) client_s: f64,
}

impl Used {
    /// Of the API with this process id, of the cluster's server, and of this process.
    pub(crate) fn so_far(api: u32, cluster: &Cluster) -> Self {
        Self {
            api_s: ticks(&format!("{api}")).0 / TICKS,
            postgres_s: postgres(cluster) / TICKS,
            client_s: ticks("self").0 / TICKS,
        }
    }

    /// What was used since then.
    pub(crate) fn since(self, then: Self) -> Self {
        Self {
            api_s: self.api_s - then.api_s,
            postgres_s: self.postgres_s - then.postgres_s,
            client_s: self.client_s - then.client_s,
        }
    }
}

/// The server's first process with those of its children that have ended, and its children.
fn postgres(cluster: &Cluster) -> f64 {
    let file = cluster.socket().join("data/postmaster.pid");
    let text = fs::read_to_string(file).expect("a running server has this file");
    let first = text.lines().next().unwrap_or_default().to_owned();
    let (own, ended, _) = ticks(&first);
    let processes = fs::read_dir("/proc").expect("this is Linux").flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let ids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let children = ids.map(|id| ticks(&id)).filter(|(_, _, parent)| *parent == first);
    own + ended + children.map(|(own, ..)| own).sum::<f64>()
}

/// Its own ticks, those of its ended children, and its parent; nothing of what has ended.
fn ticks(process: &str) -> (f64, f64, String) {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name before the last parenthesis may hold anything.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse().ok()).unwrap_or(0.0);
    // proc(5): state is field 3 and stands first here, ppid is 4, utime 14, stime 15, cutime 16, cstime 17.
    (number(11) + number(12), number(13) + number(14), fields.get(1).unwrap_or(&"").to_string())
}

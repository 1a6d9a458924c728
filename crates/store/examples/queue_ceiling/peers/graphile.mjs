// How many no-op jobs per second graphile-worker runs on this server: once as it comes, once with a local queue and batched
// completion. Arguments: the folder of the server's socket, the database. One line of JSON for each.
import pg from "pg";
import { run, runMigrations } from "graphile-worker";

const [host, database] = process.argv.slice(2);
const JOBS = 20000;
const pool = new pg.Pool({ host, database, user: "postgres", max: 26 });
pool.on("error", (error) => { throw error; });
pool.on("connect", (client) => client.on("error", (error) => { throw error; }));

async function measure(name, jobs, worker) {
  await runMigrations({ pgPool: pool });
  await pool.query("SELECT graphile_worker.add_job('noop', json_build_object('n', n)) FROM generate_series(1, $1::int) AS n", [jobs]);
  await pool.query("VACUUM ANALYZE");
  let done = 0;
  let ended;
  const end = new Promise((resolve) => (ended = resolve));
  const start = process.hrtime.bigint();
  const runner = await run({
    pgPool: pool,
    noHandleSignals: true,
    taskList: { noop: async () => { if (++done === jobs) ended(); } },
    preset: { worker: { concurrentJobs: 24, pollInterval: 1000, ...worker } },
  });
  await end;
  await runner.stop();
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  console.log(JSON.stringify({ name, jobs, per_second: jobs / seconds }));
}

await measure("graphile-worker 0.17.3, as it comes", JOBS / 4, {});
await measure("graphile-worker 0.17.3, batched", JOBS * 2, {
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
});
await pool.end();

//! Who acts in a run: workers that live, die and start again, and clients that submit and cancel.

use std::{sync::Arc, time::Duration};

use beacon_domain::{Accepted, CancelReason, JobId, JobSteering, StoreError, WorkerId};
use beacon_scheduler::{AcceptError, PlanOptions, Scheduler, Submission, plan, submit};
use beacon_testkit::{conformance::Store, faults::Fault};
use tokio::time::sleep;

use crate::{
    history::Who,
    scenario::{JobPlan, LEASE},
    site::{Process, Site},
    watched::open,
};

/// A pause before the client tries again.
const AGAIN: Duration = Duration::from_millis(300);

/// A worker: one process after another, until the run is over.
pub(crate) async fn worker<S: Store + 'static>(site: Arc<Site<S>>, worker: u32) {
    for life in 1.. {
        if site.over.is_cancelled() {
            return;
        }
        let who = Who { worker, life };
        let process = site.start(who);
        open(&site.ledger).step(who, "start", None, 0);
        let options = site.scenario.options.clone();
        let scheduler = Scheduler::new(WorkerId::new(who.to_string()), process.ports.clone(), options);
        let scheduler = scheduler.expect("the options of every scenario can work");
        let how = tokio::select! {
            biased;
            () = process.life.died() => "died",
            ran = scheduler.run(process.stop.clone()) => if ran.is_ok() { "stopped" } else { "gave up" },
            () = trouble(&site, &process, who) => "troubled",
        };
        if how == "stopped" {
            open(&site.ledger).went_home(who, &process.life);
        }
        process.life.die();
        open(&site.ledger).step(who, how, None, 0);
        sleep(site.faults.dice.up_to(LEASE * 2)).await;
    }
}

/// What befalls a process from outside. Never returns.
async fn trouble<S: Store + 'static>(site: &Site<S>, process: &Process, who: Who) {
    loop {
        tokio::select! {
            biased;
            () = site.over.cancelled() => {
                process.stop.drain();
                std::future::pending::<()>().await;
            }
            () = sleep(site.faults.dice.up_to(Duration::from_secs(5))) => {}
        }
        let dice = &site.faults.dice;
        let strikes = site.faults.may_strike() && dice.chance(site.scenario.processes.trouble);
        if !strikes || process.life.is_frozen() {
            continue;
        }
        let all = [Fault::CrashAtRandom, Fault::Shutdown, Fault::Pause, Fault::ClockJump];
        let fault = *dice.pick(if site.scenario.processes.only_ends { &all[..2] } else { &all });
        site.faults.count(fault);
        let name = match fault {
            Fault::CrashAtRandom => "crash",
            Fault::Pause => "pause",
            Fault::Shutdown => "shutdown",
            _ => "clock jump",
        };
        open(&site.ledger).step(who, name, None, 0);
        match fault {
            Fault::CrashAtRandom => process.life.die(),
            Fault::Pause => process.life.freeze(LEASE / 2 + dice.up_to(LEASE * 4)),
            Fault::Shutdown => {
                process.stop.drain();
                sleep(dice.up_to(Duration::from_secs(2))).await;
                process.stop.abort();
            }
            _ => process.clock.jump(dice.up_to(LEASE * 2)),
        }
    }
}

/// Submits a job when its time has come, and pauses and cancels it if that is planned.
pub(crate) async fn client<S: Store + JobSteering + 'static>(site: Arc<Site<S>>, job: JobPlan) {
    sleep(job.at).await;
    let process = site.start(Who::CLIENT);
    let id = loop {
        match submit_once(&site, &process, &job).await {
            Ok(Accepted::New(id) | Accepted::Existing(id, _)) => break id,
            Err(AcceptError::Store(StoreError::Unavailable { .. })) => sleep(AGAIN).await,
            Err(error) => {
                let never = "a job that can be planned is accepted";
                return open(&site.ledger).must(false, never, || error.to_string());
            }
        }
    };
    tokio::join!(pause(&site, &process, &job, id), cancel(&process, &job, id));
}

async fn cancel(process: &Process, job: &JobPlan, id: JobId) {
    let Some(after) = job.cancel_after else { return };
    sleep(after).await;
    while cancel_once(process, id).await.is_err() {
        sleep(AGAIN).await;
    }
}

/// Pauses a job for a while. The ledger hears of it in the same step.
async fn pause<S: Store + JobSteering + 'static>(
    site: &Site<S>,
    process: &Process,
    job: &JobPlan,
    id: JobId,
) {
    let Some((after, lasts)) = job.pause else { return };
    sleep(after).await;
    let paused = site.store.pause(id, "client".to_owned(), process.ports.clock.now()).await;
    open(&site.ledger).steered(id, &paused.expect("the store in memory does not fail"));
    sleep(lasts).await;
    let resumed = site.store.resume(id, process.ports.clock.now()).await;
    open(&site.ledger).steered(id, &resumed.expect("the store in memory does not fail"));
}

async fn submit_once<S: Store + 'static>(
    site: &Site<S>,
    process: &Process,
    job: &JobPlan,
) -> Result<Accepted, AcceptError> {
    let (spec, catalog) = (job.spec.verified(), site.catalog());
    let options = PlanOptions { batching: job.batching, ..PlanOptions::default() };
    let plan = plan(spec.spec(), &catalog, &options).expect("every cell is served");
    let submission =
        Submission { generation: 0, retry_of: None, weight: spec.weight(), nonce_must_be_new: true };
    submit(&process.ports, &site.scenario.options, &catalog, (spec, plan), submission).await
}

async fn cancel_once(process: &Process, job: JobId) -> Result<(), StoreError> {
    let by = CancelReason::By("client".to_owned());
    process.ports.jobs.cancel(job, by, process.ports.clock.now()).await.map(drop)
}

//! Webhook deliveries.

use std::{convert::Infallible, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    Backlog, Delivery, DeliveryEnd, DeliveryQueue, DeliveryState, DueAsk, JobId, NewDelivery, Sending,
    StoreError,
};
use beacon_spec::Timestamp;

use super::MemoryStore;
use crate::lines::{Lines, Waiting, late};

#[async_trait]
impl DeliveryQueue for MemoryStore {
    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<u32, StoreError> {
        Ok(self.write(|state| {
            let key = |job: JobId| state.by_id.get(&job).map(|place| state.jobs[*place].spec.key().clone());
            let held = &mut state.desk.deliveries;
            let before = held.len();
            for new in deliveries {
                if held.iter().any(|known| known.new.id == new.id) {
                    continue;
                }
                held.push(Delivery {
                    key: key(new.job),
                    new,
                    state: DeliveryState::Pending,
                    attempts: 0,
                    next_at: now,
                    last_status: None,
                    last_error: None,
                    created_at: now,
                    ended_at: None,
                });
            }
            u32::try_from(held.len() - before).unwrap_or(u32::MAX)
        }))
    }

    async fn due(&self, ask: DueAsk) -> Result<Vec<Delivery>, StoreError> {
        let until = ask.now.checked_add(ask.lease).unwrap_or(Timestamp::MAX);
        Ok(self.write(|state| {
            let held = &state.desk.deliveries;
            let is_due =
                |at: &usize| held[*at].state == DeliveryState::Pending && held[*at].next_at <= ask.now;
            let mut due: Vec<usize> = (0..held.len()).filter(is_due).collect();
            // Stable: of those that are due at the same time, the first added comes first.
            due.sort_by_key(|at| held[*at].next_at);
            let waiting = |at: usize| {
                let Sending { key, receiver } = held[at].sending();
                let key = key.map_or_else(String::new, |key| key.as_str().to_owned());
                Ok::<_, Infallible>(Waiting { at, key, receiver })
            };
            let mut lines = Lines::new(&ask);
            let Ok(()) = lines.fill(due.into_iter().map(waiting));
            let mut take = |at: usize| {
                let one = &mut state.desk.deliveries[at];
                (one.attempts, one.next_at) = (one.attempts + 1, until);
                one.clone()
            };
            lines.take(ask.n).into_iter().map(&mut take).collect()
        }))
    }

    async fn delivered(
        &self,
        delivery: &Delivery,
        end: DeliveryEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (to, next_at, status, error) = end.left();
        Ok(self.write(|state| {
            let mine = |one: &&mut Delivery| {
                one.new.id == delivery.new.id
                    && one.attempts == delivery.attempts
                    && one.state == DeliveryState::Pending
            };
            let Some(held) = state.desk.deliveries.iter_mut().find(mine) else { return false };
            held.state = to;
            held.next_at = next_at.unwrap_or(held.next_at);
            (held.last_status, held.last_error) = (status, error);
            held.ended_at = (to != DeliveryState::Pending).then_some(now);
            true
        }))
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        let state = self.read();
        let waiting = state.desk.deliveries.iter().filter(|one| one.state == DeliveryState::Pending);
        let due: Vec<Timestamp> = waiting.map(|one| one.next_at).collect();
        Ok(Backlog {
            waiting: u32::try_from(due.len()).unwrap_or(u32::MAX).min(Backlog::MOST),
            late: due.into_iter().min().map_or(Duration::ZERO, |first| late(first, now)),
        })
    }

    async fn deliveries(
        &self,
        job: JobId,
        after: Option<String>,
        n: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let state = self.read();
        let mut of_job = state.desk.deliveries.iter().filter(|one| one.new.job == job);
        if let Some(after) = after {
            of_job.by_ref().find(|one| one.new.id == after);
        }
        Ok(of_job.take(n as usize).cloned().collect())
    }
}

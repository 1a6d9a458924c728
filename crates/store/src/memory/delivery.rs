//! Webhook deliveries.

use std::collections::HashSet;

use async_trait::async_trait;
use beacon_domain::{
    Delivery, DeliveryEnd, DeliveryQueue, DeliveryState, DueAsk, JobId, NewDelivery, StoreError,
};
use beacon_spec::Timestamp;

use super::MemoryStore;

#[async_trait]
impl DeliveryQueue for MemoryStore {
    async fn enqueue(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<u32, StoreError> {
        Ok(self.write(|state| {
            let held = &mut state.desk.deliveries;
            let before = held.len();
            for new in deliveries {
                if held.iter().any(|known| known.new.id == new.id) {
                    continue;
                }
                held.push(Delivery {
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
        let DueAsk { n, busy, lease, now } = ask;
        let until = now.checked_add(lease).unwrap_or(Timestamp::MAX);
        Ok(self.write(|state| {
            let is_due = |one: &&mut Delivery| one.state == DeliveryState::Pending && one.next_at <= now;
            let mut due: Vec<_> = state.desk.deliveries.iter_mut().filter(is_due).collect();
            // Stable: of those that are due at the same time, the first added comes first.
            due.sort_by_key(|one| one.next_at);
            let mut served: HashSet<String> = busy.into_iter().collect();
            due.retain(|one| served.insert(one.new.receiver()));
            let take = |one: &mut Delivery| {
                (one.attempts, one.next_at) = (one.attempts + 1, until);
                one.clone()
            };
            due.into_iter().take(n as usize).map(take).collect()
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

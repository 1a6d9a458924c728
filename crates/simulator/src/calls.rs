//! Remote calls that outlive their HTTP request: the table behind result URLs.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::model::Work;

/// The calls that were told a result URL. They stay, so a result can be read again.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    table: Mutex<HashMap<String, Work>>,
}

impl Calls {
    /// Makes a call findable; the name is `fc-` and its number.
    pub(crate) fn publish(&self, work: &Work) -> String {
        let id = format!("fc-{}", work.number);
        self.table.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), work.clone());
        id
    }

    /// The call of that name, if it was published.
    pub(crate) fn find(&self, id: &str) -> Option<Work> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

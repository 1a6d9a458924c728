//! A matrix as JSON, piece by piece: an object per cell, or a row of numbers per cell with the names at the end.

use std::{collections::HashMap, io::Write as _};

use beacon_domain::{CellView, JobId};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::shapes::Cell;

/// How cells are written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// An object per cell.
    #[default]
    Cells,
    /// A row of numbers per cell.
    Rows,
}

/// A matrix in the making. `cells` may be called any number of times between the two others.
pub(crate) trait Grid: Send + Sync {
    fn begin(&mut self) -> Vec<u8>;
    fn cells(&mut self, cells: &[CellView]) -> Vec<u8>;
    fn end(&mut self) -> Vec<u8>;
}

/// The writer of this form.
pub(crate) fn grid(job: JobId, form: Form) -> Box<dyn Grid> {
    match form {
        Form::Cells => Box::new(Objects { job, any: false }),
        Form::Rows => Box::new(Rows { job, any: false, names: Default::default() }),
    }
}

struct Objects {
    job: JobId,
    any: bool,
}

impl Grid for Objects {
    fn begin(&mut self) -> Vec<u8> {
        format!(r#"{{"job_id":"{}","form":"cells","cells":["#, self.job).into_bytes()
    }

    fn cells(&mut self, cells: &[CellView]) -> Vec<u8> {
        let mut piece = Vec::with_capacity(cells.len() * 180);
        for cell in cells {
            separate(&mut piece, &mut self.any);
            serde_json::to_writer(&mut piece, &Cell::from(cell)).expect("a cell has names and numbers only");
        }
        piece
    }

    fn end(&mut self) -> Vec<u8> {
        b"]}".to_vec()
    }
}

/// The columns of a row; those of [`NAMED`] hold places in lists of names.
const COLUMNS: [&str; 8] = ["n", "question_id", "model_id", "region", "run", "endpoint", "state", "attempts"];
const NAMED: [&str; 5] = ["question_id", "model_id", "region", "endpoint", "state"];

struct Rows {
    job: JobId,
    any: bool,
    names: [Names; NAMED.len()],
}

/// Names in the order in which they came first. There are as many as a job has questions, models and endpoints.
#[derive(Default)]
struct Names {
    places: HashMap<String, usize>,
    names: Vec<String>,
}

impl Names {
    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.names.len();
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        place
    }
}

impl Grid for Rows {
    fn begin(&mut self) -> Vec<u8> {
        let columns = json!(COLUMNS);
        format!(r#"{{"job_id":"{}","form":"rows","columns":{columns},"rows":["#, self.job).into_bytes()
    }

    fn cells(&mut self, cells: &[CellView]) -> Vec<u8> {
        let mut piece = Vec::with_capacity(cells.len() * 32);
        for cell in cells {
            separate(&mut piece, &mut self.any);
            let [questions, models, regions, endpoints, states] = &mut self.names;
            let endpoint = cell.endpoint.as_ref().map(|endpoint| endpoints.place(endpoint.as_str()));
            let endpoint = endpoint.map_or_else(|| "null".to_owned(), |place| place.to_string());
            let written = write!(
                piece,
                "[{},{},{},{},{},{endpoint},{},{}]",
                cell.n,
                questions.place(cell.question.as_str()),
                models.place(cell.model.as_str()),
                regions.place(cell.region.as_str()),
                cell.run,
                states.place(cell.state.as_str()),
                cell.attempts,
            );
            written.expect("a vector takes everything");
        }
        piece
    }

    fn end(&mut self) -> Vec<u8> {
        let names = NAMED.iter().zip(&self.names);
        let names: Value = names.map(|(column, names)| ((*column).to_owned(), json!(names.names))).collect();
        format!(r#"],"names":{names}}}"#).into_bytes()
    }
}

fn separate(piece: &mut Vec<u8>, any: &mut bool) {
    if std::mem::replace(any, true) {
        piece.push(b',');
    }
}

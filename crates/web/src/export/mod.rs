//! Writing many rows in bounded memory: matrices, and results as JSON lines, CSV or Parquet.

pub(crate) mod grid;
mod parquet;
mod results;

pub(crate) use parquet::Table;
pub(crate) use results::{Csv, Lines, Sink};

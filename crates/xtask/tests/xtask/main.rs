//! The chart, the documentation and its wording, the published files and the development servers, tested in one program.

mod chart;
mod cluster;
mod pages;
mod programs;
mod publishing;
mod words;

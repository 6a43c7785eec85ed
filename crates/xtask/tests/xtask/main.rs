//! The chart, the documentation, the published files and the development servers, tested in one program.

mod chart;
mod cluster;
mod pages;
mod programs;
mod publishing;

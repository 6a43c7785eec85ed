//! What core decides, in one program.

mod actors;
mod approval;
mod chaos;
mod exclusion;
mod histories;
mod indexes;
mod interference;
mod ladder;
mod limits;
mod maintenance;
mod manual;
mod own_changes;
mod ownership;
mod permits;
mod plans;
mod properties;
mod releases;
mod restarts;
mod retention;
mod rolled_back;
mod slots;
mod states;
mod support;
mod surveys;
mod views;
mod watching;

//! What core decides, in one program: the builders of `fixtures` are compiled once for all files.

mod approval;
mod by_hand;
mod chaos;
mod company;
mod exclusion;
mod fixtures;
mod interference;
mod ladder;
mod lives;
mod maintenance;
mod own_changes;
mod ownership;
mod permits;
mod places;
mod plans;
mod properties;
mod releases;
mod restarts;
mod retention;
mod rolled_back;
mod slots;
mod states;
mod surveys;
mod views;
mod watching;

//! The front door, from configuration to command line: what a configuration has to
//! prove before it becomes active, who may knock, and what they hear.

mod activation;

pub(crate) mod commands;

mod console;

mod together;

pub(crate) mod described;

mod door;

mod folders;

mod logs;

mod matrix;

mod full_disk;

mod grants;

mod packages;

mod patience;

mod people;

mod reference;

mod untaken;

mod ways;

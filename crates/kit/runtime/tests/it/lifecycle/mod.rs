//! The life of the process, from its command line to its end.

mod cli;
mod startup;
mod stop;

//! How settings are read: layers of raw values, a typed value for each key, and every fault.

pub(crate) mod described;
pub(crate) mod fault;
pub(crate) mod file;
pub(crate) mod layers;
pub(crate) mod log_filter;
pub(crate) mod meant;
pub(crate) mod parse;
pub(crate) mod reader;
pub(crate) mod shown;
pub(crate) mod values;

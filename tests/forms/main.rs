//! Every place where a task can be written.

mod forms;

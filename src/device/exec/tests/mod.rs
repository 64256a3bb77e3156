//! Tests of what needs no program: bytes in, answers out.

mod answers;
mod lines;

//! Tests of the program as it is run: started, asked over HTTP, signalled, killed, started again.
//!
//! `MAINSTAY_SEED` repeats the random choices of an earlier run. With `MAINSTAY_REQUIRE_ALL=1` a test fails that would
//! else be left out because the machine does not allow it. `MAINSTAY_PROGRAM` is the path of a program to test in place
//! of the one just built.

#[cfg(test)]
mod node {
    mod harness;

    mod alerts;
    mod alerts_kept;
    mod compacting;
    mod connections;
    mod crash;
    mod crash_load;
    mod crashed_slots;
    mod cron;
    mod damage;
    mod definitions;
    mod disk;
    mod exec;
    mod exec_ends;
    mod groups;
    mod halting;
    mod health;
    mod isolation;
    mod limits;
    mod log;
    mod metrics;
    mod modules;
    mod outside;
    mod peers;
    mod prometheus;
    mod pushes;
    mod remote;
    mod scale;
    mod service_manager;
    mod signals;
    mod start;
    mod two_nodes;
    mod verifying;
    mod watch;
    mod workers;
}

//! Parallel loops. (Serial stand-in.)

/// Calls `body(i)` for every `i < total`, each once, on this thread and on idle workers.
pub fn par_for(total: usize, body: &(dyn Fn(usize) + Sync)) {
    (0..total).for_each(body)
}

/// Threads a loop may use.
pub fn num_threads() -> usize {
    1
}

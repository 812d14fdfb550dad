//! Whether operations that went on at the same time can have been done one after the other.

use std::collections::HashSet;
use std::hash::Hash;

/// A history with more ways than this through it is too long for a round.
const MOST_STATES: usize = 1_000_000;

/// An operation: when it was going on, and its steps with what they said. Nobody promises that a batch is
/// one moment.
#[derive(Clone, Debug)]
pub(crate) struct Event<T> {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) steps: Vec<T>,
    /// Whether the steps come in their order.
    pub(crate) in_order: bool,
}

/// How far each task is: operations, and the steps of the next one, a bit for each.
type Position = Vec<(u8, u32)>;

/// The states that the tasks' operations can have led to from some states: Wing and Gong's search, with a
/// memory of what it has looked at. A step comes after all operations that ended before its own began, and
/// `next` says what it can make of a state, having said what it did.
pub(crate) fn orders<S, T>(
    from: &[S],
    history: &[Vec<Event<T>>],
    next: impl Fn(&S, &T) -> Vec<S>,
) -> HashSet<S>
where
    S: Clone + Eq + Hash,
{
    let start: Position = vec![(0, 0); history.len()];
    let mut seen: HashSet<(Position, S)> = from.iter().map(|state| (start.clone(), state.clone())).collect();
    let mut open: Vec<(Position, S)> = seen.iter().cloned().collect();
    let mut ends = HashSet::new();
    while let Some((position, state)) = open.pop() {
        if position.iter().zip(history).all(|((op, _), of_task)| usize::from(*op) == of_task.len()) {
            ends.insert(state);
            continue;
        }
        for (task, step) in possible(&position, history) {
            let event = &history[task][usize::from(position[task].0)];
            for state in next(&state, &event.steps[step]) {
                let found = (advanced(&position, task, event, step), state);
                if !seen.contains(&found) {
                    seen.insert(found.clone());
                    open.push(found);
                }
            }
        }
        assert!(seen.len() < MOST_STATES, "fewer operations in a round would do");
    }
    ends
}

/// The steps that can come next: of which task, and which of its operation.
fn possible<T>(position: &Position, history: &[Vec<Event<T>>]) -> Vec<(usize, usize)> {
    let pending = || {
        let tasks = position.iter().zip(history).enumerate();
        tasks.filter_map(|(task, ((op, taken), events))| Some((task, *taken, events.get(usize::from(*op))?)))
    };
    let first_end = pending().map(|(.., event)| event.ended).min().unwrap_or(u64::MAX);
    let mut possible = Vec::new();
    for (task, taken, event) in pending().filter(|(.., event)| event.began <= first_end) {
        let open = (0..event.steps.len()).filter(|step| taken & (1 << step) == 0);
        possible.extend(open.take(if event.in_order { 1 } else { usize::MAX }).map(|step| (task, step)));
    }
    possible
}

fn advanced<T>(position: &Position, task: usize, event: &Event<T>, step: usize) -> Position {
    let mut next = position.clone();
    let (op, steps) = &mut next[task];
    *steps |= 1 << step;
    if steps.count_ones() as usize == event.steps.len() {
        (*op, *steps) = (*op + 1, 0);
    }
    next
}

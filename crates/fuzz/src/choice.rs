//! [`Choice`]: which input is changed next.

use std::cell::RefCell;
use std::rc::Rc;

use libafl::corpus::{Corpus, CorpusId};
use libafl::schedulers::Scheduler;
use libafl::state::{HasCorpus, HasRand};
use libafl_bolts::rands::Rand;

use crate::input::Input;
use crate::replies::{Replies, Seen};
use crate::trial::Last;

/// Later inputs are chosen more often than earlier ones, short ones more often than long ones, those that led to others more often than
/// those that did not for long, and those that read what is rarely read more often than others.
pub(crate) struct Choice {
    last: Rc<RefCell<Last>>,
    replies: Rc<RefCell<Replies>>,
    pub(crate) entries: Rc<RefCell<Vec<Entry>>>,
}

/// An input that is kept.
pub(crate) struct Entry {
    id: CorpusId,
    /// How many operations it has.
    pub(crate) len: u32,
    /// What it was the first to read.
    pub(crate) read: Vec<Seen>,
    /// How often it was chosen, and how many inputs that made.
    chosen: u32,
    led: u32,
}

impl Choice {
    pub(crate) fn new(last: &Rc<RefCell<Last>>, replies: &Rc<RefCell<Replies>>) -> Self {
        Self {
            last: Rc::clone(last),
            replies: Rc::clone(replies),
            entries: Rc::default(),
        }
    }

    fn weight(&self, nth: usize, entry: &Entry) -> f64 {
        let replies = self.replies.borrow();
        let rarest = entry.read.iter().map(|seen| replies.count(seen)).min();
        let rarity = 1.0 / f64::from(rarest.unwrap_or(1).max(1)).sqrt();
        let success = f64::from(1 + entry.led) / f64::from(2 + entry.chosen);
        rarity * success * f64::from(1 + nth as u32) / f64::from(4 + entry.len)
    }
}

impl<S: HasCorpus<Input> + HasRand> Scheduler<Input, S> for Choice {
    fn on_add(&mut self, state: &mut S, id: CorpusId) -> Result<(), libafl::Error> {
        let parent = *state.corpus().current();
        let mut testcase = state.corpus().get(id)?.borrow_mut();
        testcase.set_parent_id_optional(parent);
        let len = testcase.load_input(state.corpus())?.ops.len() as u32;
        let mut entries = self.entries.borrow_mut();
        if let Some(entry) = entries.iter_mut().find(|entry| Some(entry.id) == parent) {
            entry.led += 1;
        }
        entries.push(Entry {
            id,
            len,
            read: self.last.borrow().read.clone(),
            chosen: 0,
            led: 0,
        });
        Ok(())
    }

    fn next(&mut self, state: &mut S) -> Result<CorpusId, libafl::Error> {
        let mut entries = self.entries.borrow_mut();
        let weights: Vec<f64> = entries
            .iter()
            .enumerate()
            .map(|(nth, entry)| self.weight(nth, entry))
            .collect();
        let mut point = weights.iter().sum::<f64>() * state.rand_mut().next_float();
        let nth = weights
            .iter()
            .position(|weight| {
                point -= weight;
                point <= 0.0
            })
            .unwrap_or(weights.len().saturating_sub(1));
        let entry = entries
            .get_mut(nth)
            .ok_or_else(|| libafl::Error::empty("no input is kept"))?;
        entry.chosen += 1;
        let id = entry.id;
        drop(entries);
        self.set_current_scheduled(state, Some(id))?;
        Ok(id)
    }

    fn set_current_scheduled(
        &mut self,
        state: &mut S,
        next: Option<CorpusId>,
    ) -> Result<(), libafl::Error> {
        *state.corpus_mut().current_mut() = next;
        Ok(())
    }
}

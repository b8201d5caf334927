//! Questions to the coordinator: each waits until the coordinator is there, and is asked again when it dies.

use super::{Client, State};
use espalier_core::model::Model;
use espalier_core::protocol::{Answer, Answered, Command, Question};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A question that ended so many coordinators is not asked again.
const MAX_DEATHS: u32 = 2;

/// Where an answer is put, and who waits for it.
type Place = Rc<RefCell<(Option<Answered>, Option<Waker>)>>;

struct Open {
    /// The question, as it is sent.
    command: Command,
    /// The models in question, with their numbers.
    about: Vec<(u32, Arc<Model>)>,
    sent: bool,
    deaths: u32,
    place: Place,
}

impl Open {
    fn end(self, answer: Answered) {
        let waker = {
            let mut place = self.place.borrow_mut();
            place.0 = Some(answer);
            place.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The questions that are open.
#[derive(Default)]
pub(super) struct Asks {
    next: u32,
    open: Vec<(u32, Open)>,
    /// Numbers of the models that the coordinator has.
    held: Vec<u32>,
    /// Why there will be no engine.
    hopeless: Option<String>,
}

impl Asks {
    pub(super) fn answered(&mut self, number: u32, answer: Answered) {
        if let Some(index) = self.open.iter().position(|(n, _)| *n == number) {
            self.open.remove(index).1.end(answer);
        }
    }

    /// The coordinator is gone. What it had not answered is asked of the next one, unless it keeps
    /// ending them.
    pub(super) fn mourn(&mut self, why: &str) {
        self.held.clear();
        let mut lethal = Vec::new();
        for (number, open) in &mut self.open {
            open.deaths += u32::from(std::mem::take(&mut open.sent));
            if open.deaths >= MAX_DEATHS {
                lethal.push(*number);
            }
        }
        for number in lethal {
            self.answered(
                number,
                Err(format!("The engine stopped over this twice ({why}); it was left undone.")),
            );
        }
    }

    /// There will be no engine.
    pub(super) fn give_up(&mut self, why: &str) {
        self.hopeless = Some(why.into());
        for (_, open) in std::mem::take(&mut self.open) {
            open.end(Err(why.into()));
        }
    }
}

impl State {
    /// Asks what has not been asked yet, if the coordinator is there.
    pub(super) fn ask_all(&mut self) {
        let Some(coordinator) = self.slots.first().filter(|slot| slot.ready) else { return };
        let Asks { open, held, .. } = &mut self.asks;
        for (_, open) in open.iter_mut().filter(|(_, open)| !open.sent) {
            for (id, model) in &open.about {
                if !held.contains(id) {
                    held.push(*id);
                    coordinator.send(&Command::Hold(*id, Box::new((**model).clone())));
                }
            }
            coordinator.send(&open.command);
            open.sent = true;
        }
    }
}

impl Client {
    /// The models that the coordinator was asked about are no longer needed.
    pub fn forget(&self) {
        self.with(|s| {
            s.asks.held.clear();
            if let Some(coordinator) = s.slots.first().filter(|slot| slot.ready) {
                coordinator.send(&Command::Forget);
            }
        });
    }

    /// Asks the coordinator; `about` are the models in question, which it gets once. Waits for the
    /// engine where it has not arrived yet.
    ///
    /// # Errors
    /// In words: what is wrong with the question, or that there is no engine.
    pub fn ask(
        &self,
        question: Question,
        about: Vec<(u32, Arc<Model>)>,
    ) -> impl Future<Output = Result<Answer, String>> + use<> {
        let place = Place::default();
        self.with(|s| {
            let number = s.asks.next;
            s.asks.next += 1;
            let command = Command::Ask(number, question);
            let open = Open { command, about, sent: false, deaths: 0, place: place.clone() };
            match &s.asks.hopeless {
                Some(why) => open.end(Err(why.clone())),
                None => {
                    s.asks.open.push((number, open));
                    s.ask_all();
                }
            }
        });
        poll_fn(move |cx| {
            let mut place = place.borrow_mut();
            match place.0.take() {
                Some(answer) => Poll::Ready(answer),
                None => {
                    place.1 = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}

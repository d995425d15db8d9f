//! Events for a person: live lines on a terminal, the same information as plain lines elsewhere.
//!
//! Never silent for long: a spinner moves on a terminal, elsewhere a line says what still runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::text;
use crate::report::{Event, Report};

/// After so much silence a line says what still runs.
const SILENCE: Duration = Duration::from_secs(4);

/// Writes to standard error.
pub struct Human {
    state: Mutex<State>,
    colours: bool,
    quiet: bool,
}

struct State {
    running: BTreeMap<String, Running>,
    bars: Option<MultiProgress>,
    last: Instant,
}

struct Running {
    title: String,
    started: Instant,
    bar: Option<ProgressBar>,
    progress: Option<(u64, Option<u64>, &'static str)>,
}

impl Human {
    /// `terminal`: live lines. `quiet`: nothing but warnings.
    pub fn start(terminal: bool, colours: bool, quiet: bool) -> Arc<Self> {
        let bars = (terminal && !quiet).then(MultiProgress::new);
        let state = State {
            running: BTreeMap::new(),
            bars,
            last: Instant::now(),
        };
        let human = Arc::new(Self {
            state: Mutex::new(state),
            colours,
            quiet,
        });
        if !terminal && !quiet {
            let weak = Arc::downgrade(&human);
            std::thread::spawn(move || break_silence(&weak));
        }
        human
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(state: &mut State, line: &str) {
        state.last = Instant::now();
        match &state.bars {
            // A reader that went away must not end the build.
            Some(bars) => drop(bars.println(line)),
            None => text::say(line),
        }
    }

    fn started(&self, state: &mut State, step: String, title: &str) {
        let title = text::brief(&text::escape(title));
        let bar = state.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(title.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            let arrow = self.paint("36", ">");
            Self::line(state, &format!("{arrow} {title}"));
        }
        state.running.insert(
            step,
            Running {
                title,
                started: Instant::now(),
                bar,
                progress: None,
            },
        );
    }

    fn finished(&self, state: &mut State, step: &str, cached: bool, note: &str, milliseconds: u64) {
        let Some(running) = state.running.remove(step) else {
            return;
        };
        if let Some(bar) = &running.bar {
            bar.finish_and_clear();
        }
        let tick = self.paint("32", "✓");
        let note = if note.is_empty() {
            String::new()
        } else {
            format!(", {}", text::escape(note))
        };
        let how = if cached {
            "unchanged".to_owned()
        } else {
            seconds(milliseconds)
        };
        Self::line(state, &format!("{tick} {} ({how}{note})", running.title));
    }

    /// What maintainer scripts say is for the log: an error repeats its end.
    fn output(&self, state: &mut State, step: &str, line: &str) {
        if step.starts_with("root:") {
            return;
        }
        let name = step.rsplit(':').next().unwrap_or(step);
        let bar = self.paint("2", &format!("{} |", text::escape(name)));
        Self::line(
            state,
            &format!("  {bar} {}", text::strip(line, self.colours)),
        );
    }

    fn progress(state: &mut State, step: &str, done: u64, total: Option<u64>, unit: &'static str) {
        let Some(running) = state.running.get_mut(step) else {
            return;
        };
        running.progress = Some((done, total, unit));
        if let Some(bar) = &running.bar {
            bar.set_message(format!("{} {}", running.title, amount(done, total, unit)));
        }
    }
}

impl Report for Human {
    fn event(&self, event: Event) {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        match event {
            Event::Warning { message } => {
                let warning = self.paint("33", "warning");
                Self::line(state, &format!("{warning}: {}", text::escape(&message)));
            }
            _ if self.quiet => {}
            Event::Decided {
                subject,
                choice,
                reason,
            } => {
                let reason = self.paint("2", &format!("({})", text::escape(&reason)));
                Self::line(
                    state,
                    &format!(
                        "  {}: {} {reason}",
                        text::escape(&subject),
                        text::escape(&choice)
                    ),
                );
            }
            Event::StepStarted { step, title } => self.started(state, step, &title),
            Event::StepProgress {
                step,
                done,
                total,
                unit,
            } => Self::progress(state, &step, done, total, unit),
            Event::Output { step, line, .. } => self.output(state, &step, &line),
            Event::StepFinished {
                step,
                cached,
                milliseconds,
                note,
            } => {
                self.finished(state, &step, cached, &note, milliseconds);
            }
            Event::StepFailed { step } => {
                if let Some(running) = state.running.remove(&step) {
                    if let Some(bar) = &running.bar {
                        bar.finish_and_clear();
                    }
                    let cross = self.paint("31", "✗");
                    Self::line(state, &format!("{cross} {}", running.title));
                }
            }
            // The verb prints the result itself, as its last line.
            Event::Finished { .. } => {}
        }
    }
}

/// Says every few seconds what runs, where no spinner does.
fn break_silence(human: &Weak<Human>) {
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let Some(human) = human.upgrade() else { return };
        let mut guard = human.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        if state.last.elapsed() < SILENCE {
            continue;
        }
        let Some(running) = state.running.values().next_back() else {
            continue;
        };
        let progress = running
            .progress
            .map(|(done, total, unit)| format!(", {}", amount(done, total, unit)));
        let line = format!(
            "  ... {} ({}{})",
            running.title,
            seconds(u64::try_from(running.started.elapsed().as_millis()).unwrap_or(0)),
            progress.unwrap_or_default()
        );
        Human::line(state, &line);
    }
}

fn amount(done: u64, total: Option<u64>, unit: &str) -> String {
    let show = |number: u64| {
        if unit == "bytes" {
            crate::pipeline::size(number)
        } else {
            format!("{number} {unit}")
        }
    };
    match total {
        Some(total) => format!("{} of {}", show(done), show(total)),
        None => show(done),
    }
}

/// `0.4 s`, `2 min 5 s`.
fn seconds(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    if seconds < 60 {
        format!("{seconds}.{} s", milliseconds % 1000 / 100)
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

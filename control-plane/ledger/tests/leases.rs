//! A hard budget is never granted twice, whatever becomes of the messages, and nearly all of it can be used.
//!
//! The proxies here run the filter's own lease code (`purser_core::budget::lease`) over a store in memory.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

mod support;

use proptest::prelude::*;
use purser_core::budget::Instance;
use purser_core::budget::lease::{self, Hold};
use purser_core::store::MemoryStore;
use purser_core::sync::{LeaseReport, SyncRequest, SyncResponse};
use support::{Book, budget, lease as report, lease_sync};

const LIMIT: u64 = 1_000_000;

async fn ask(book: &Book, proxy: &str, epoch: u64, report: LeaseReport, now_ms: u64) -> (u64, bool) {
    let response = book.ledger.sync(lease_sync(proxy, epoch, report), now_ms).await.unwrap();
    (response.leases[0].granted, response.leases[0].exhausted)
}

#[tokio::test]
async fn a_hard_budget_ends_at_its_limit_and_says_so() {
    let book = Book::new();
    book.ledger.set_budgets(vec![budget("ml", &[], 1_000, true)]);
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 400), 0).await, (400, false));
    assert_eq!(
        ask(&book, "b", 1, report("ml", &[], 1_000), 0).await,
        (500, false),
        "a second's demand, beyond its share"
    );
    assert_eq!(ask(&book, "b", 1, report("ml", &[], 1_200), 0).await, (600, true), "all that is left");
    assert_eq!(ask(&book, "c", 1, report("ml", &[], 10), 0).await, (0, true));
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 400), 0).await, (400, false), "it has what it wants");
}

#[tokio::test]
async fn a_report_that_comes_again_or_late_grants_nothing_twice() {
    let mut book = Book::new();
    book.ledger.set_budgets(vec![budget("ml", &[], 10_000, true)]);
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 100), 0).await, (100, false));
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 100), 0).await, (100, false));
    let spent = LeaseReport { granted: 100, spent: 70, ..report("ml", &[], 100) };
    assert_eq!(ask(&book, "a", 1, spent.clone(), 0).await, (170, false));
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 100), 0).await, (170, false), "the first one, late");
    book.reopen();
    book.ledger.set_budgets(vec![budget("ml", &[], 10_000, true)]);
    assert_eq!(ask(&book, "a", 1, spent, 0).await, (170, false));
    assert_eq!(book.number("SELECT nano_usd FROM charged"), 170);
}

#[tokio::test]
async fn what_is_given_back_can_be_granted_to_another() {
    let book = Book::new();
    book.ledger.set_budgets(vec![budget("ml", &[], 100, true)]);
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 200), 0).await, (100, true));
    assert_eq!(ask(&book, "b", 1, report("ml", &[], 50), 0).await, (0, true));
    let back = LeaseReport { granted: 100, spent: 20, returned: 80, ..report("ml", &[], 0) };
    assert_eq!(ask(&book, "a", 1, back, 0).await, (100, false));
    assert_eq!(ask(&book, "b", 1, report("ml", &[], 160), 0).await, (80, true));
}

#[tokio::test]
async fn a_process_that_vanished_keeps_its_slice_charged() {
    let book = Book::new();
    book.ledger.set_budgets(vec![budget("ml", &[], 100, true)]);
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 60), 0).await, (50, false));
    assert_eq!(
        ask(&book, "a", 2, report("ml", &[], 200), 3_600_000).await,
        (50, true),
        "the other half is the old run's"
    );
}

#[tokio::test]
async fn an_overrun_is_charged_to_the_budget() {
    let book = Book::new();
    book.ledger.set_budgets(vec![budget("ml", &[], 1_000, true)]);
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 100), 0).await, (100, false));
    let over = LeaseReport { granted: 100, spent: 950, ..report("ml", &[], 200) };
    assert_eq!(ask(&book, "a", 1, over, 0).await, (1_000, true), "50 more, above the 950");
}

#[tokio::test]
async fn a_soft_budget_grants_what_is_wanted_and_an_unknown_one_nothing() {
    let book = Book::new();
    book.ledger.set_budgets(vec![budget("soft", &[], 10, false)]);
    assert_eq!(ask(&book, "a", 1, report("soft", &[], 5_000), 0).await, (5_000, false));
    assert_eq!(ask(&book, "a", 1, report("gone", &[], 5_000), 0).await, (0, true));
    book.ledger.set_budgets(Vec::new());
    assert_eq!(ask(&book, "a", 1, report("soft", &[], 9_000), 0).await, (5_000, true), "as before");
}

#[tokio::test]
async fn a_period_or_group_that_policy_does_not_have_is_granted_nothing() {
    let book = Book::new();
    book.ledger.set_budgets(vec![budget("ml", &["team"], 1_000, true)]);
    assert_eq!(ask(&book, "a", 1, report("ml", &["x"], 10), 0).await, (10, false));
    let cases = [
        ("no label", vec![], 0),
        ("a label too many", vec!["x", "y"], 0),
        ("another start", vec!["x"], 5),
        ("an end", vec!["x"], 4_000_000_000_000),
    ];
    for (case, group, period_ms) in cases {
        let mut asked = report("ml", &group, 10);
        asked.instance.period_ms = period_ms;
        assert_eq!(ask(&book, "a", 1, asked, 0).await, (0, true), "{case}");
    }
}

#[tokio::test]
async fn after_a_restart_budgets_are_as_they_were_until_policy_is_read() {
    let mut book = Book::new();
    book.ledger.set_budgets(vec![budget("ml", &[], 1_000, true), budget("gone", &[], 1_000, true)]);
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 100), 0).await, (100, false));
    book.ledger.set_budgets(vec![budget("ml", &[], 300, true)]);
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 200), 0).await, (200, false));
    book.reopen();
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 600), 0).await, (300, true));
    assert_eq!(ask(&book, "a", 1, report("gone", &[], 100), 0).await, (0, true));
    book.ledger.set_budgets(Vec::new());
    assert_eq!(ask(&book, "a", 1, report("ml", &[], 600), 0).await, (300, true), "unknown now: what it had");
}

#[tokio::test]
async fn a_grant_that_the_book_lost_is_charged_all_the_same() {
    let book = Book::new();
    book.ledger.set_budgets(vec![budget("ml", &[], 1_000, true)]);
    let held = LeaseReport { granted: 900, spent: 100, ..report("ml", &[], 0) };
    assert_eq!(ask(&book, "a", 1, held, 0).await, (900, false));
    assert_eq!(ask(&book, "b", 1, report("ml", &[], 500), 0).await, (100, true));
}

#[tokio::test]
async fn amounts_beyond_reason_neither_grant_nor_break() {
    let book = Book::new();
    book.ledger.set_budgets(vec![budget("ml", &[], 1_000, true), budget("all", &[], u64::MAX, true)]);
    let absurd = LeaseReport {
        granted: u64::MAX,
        spent: u64::MAX,
        returned: 0,
        reserved: u64::MAX,
        ..report("ml", &[], u64::MAX)
    };
    for proxy in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        let (_, exhausted) = ask(&book, proxy, 1, absurd.clone(), 0).await;
        assert!(exhausted);
    }
    assert_eq!(ask(&book, "z", 1, report("ml", &[], 1), 0).await, (0, true));
    let (granted, _) = ask(&book, "a", 1, report("all", &[], 77), 0).await;
    assert_eq!(granted, 77);
    assert_eq!(book.ledger.budgets(0).await.unwrap().len(), 2);
}

#[tokio::test]
async fn groups_have_the_whole_amount_each_and_are_shown_by_label() {
    let book = Book::new();
    book.ledger.set_budgets(vec![budget("team", &["team", "org"], 100, true), budget("idle", &[], 5, true)]);
    assert_eq!(ask(&book, "a", 1, report("team", &["ml", "x"], 100), 0).await, (50, false));
    assert_eq!(ask(&book, "a", 1, report("team", &["web/1", "x"], 100), 0).await, (50, false));
    let refusal = support::with(
        support::record("a", 1, 1),
        serde_json::json!({
            "outcome": "denied", "cost": {"status": "none"}, "denied": {"by": "Budget/team", "reason": "budget"},
            "labels": {"team": {"value": "ml", "source": "key"}, "org": {"value": "x", "source": "key"}},
        }),
    );
    book.ledger.sync(support::sync("a", 1, &[refusal]), 0).await.unwrap();
    let rows = book.ledger.budgets(1_000).await.unwrap();
    let group = |index: usize| -> Option<Vec<(String, String)>> {
        Some(rows[index].group.as_ref()?.iter().map(|one| (one.label.clone(), one.value.clone())).collect())
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!((rows[0].budget.as_str(), group(0)), ("idle", None));
    assert_eq!(group(1), Some(vec![pair("team", "ml"), pair("org", "x")]));
    assert_eq!(group(2), Some(vec![pair("team", "web/1"), pair("org", "x")]));
    assert_eq!((rows[1].reserved_nano_usd, rows[1].left_nano_usd, rows[1].refused), (50, 50, 1));
    assert_eq!((rows[2].refused, rows[2].proxies[0].granted, rows[2].period.end_ms), (0, 50, 4_000_000_000_000));
}

/// A proxy's process with the filter's own lease.
struct Process {
    name: String,
    epoch: u64,
    store: MemoryStore,
    held: Vec<u64>,
}

fn instance() -> Instance {
    Instance { budget: "ml".into(), period_ms: 0, group: Vec::new() }
}

impl Process {
    fn new(name: String, epoch: u64) -> Self {
        Self { name, epoch, store: MemoryStore::default(), held: Vec::new() }
    }

    fn report(&self, now_ms: u64) -> SyncRequest {
        lease_sync(&self.name, self.epoch, lease::report(&self.store, &instance(), now_ms))
    }

    fn hold(&mut self, amount: u64, now_ms: u64) -> Hold {
        let hold = lease::hold(&self.store, &instance(), amount, now_ms);
        if let Hold::Held { .. } = hold {
            self.held.push(amount);
        }
        hold
    }

    fn settle(&mut self, index: usize, percent: u64) {
        if index < self.held.len() {
            let held = self.held.swap_remove(index);
            lease::settle(&self.store, &instance(), held, held * percent / 100);
        }
    }

    fn take(&self, response: &SyncResponse, now_ms: u64) {
        response.leases.iter().for_each(|grant| lease::grant(&self.store, grant, now_ms));
    }

    /// What it spent and may still spend without asking.
    fn exposure(&self) -> u64 {
        let lease = lease::read(&self.store, &instance());
        lease.spent + lease.reserved + lease.available()
    }

    fn spent(&self) -> u64 {
        lease::read(&self.store, &instance()).spent
    }
}

/// What becomes of a report and its answer.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    ArrivesTwice,
    Lost,
    AnswerLost,
}

#[derive(Debug, Clone)]
enum Step {
    /// A request: holds an amount, and reports when the lease is short.
    Request(usize, u64, Fate),
    /// An answer came: a part of what was held is spent.
    Settle(usize, usize, u64),
    /// The regular report.
    Report(usize, Fate),
    /// Any report that was ever sent comes once more, and its answer too.
    ReportAgain(usize),
    /// Any answer that was ever given comes once more.
    AnswerAgain(usize),
    /// A proxy's process ends and another begins.
    Restart(usize),
    /// The control plane ends and begins again.
    Reopen,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = || {
        prop_oneof![
            5 => Just(Fate::Arrives),
            1 => Just(Fate::ArrivesTwice),
            1 => Just(Fate::Lost),
            1 => Just(Fate::AnswerLost),
        ]
    };
    let step = prop_oneof![
        12 => (0..3usize, 1..LIMIT / 8, fate()).prop_map(|(p, amount, fate)| Step::Request(p, amount, fate)),
        6 => (0..3usize, 0..4usize, 0..=100u64).prop_map(|(p, i, percent)| Step::Settle(p, i, percent)),
        4 => (0..3usize, fate()).prop_map(|(p, fate)| Step::Report(p, fate)),
        2 => any::<usize>().prop_map(Step::ReportAgain),
        2 => any::<usize>().prop_map(Step::AnswerAgain),
        1 => (0..3usize).prop_map(Step::Restart),
        1 => Just(Step::Reopen),
        1 => (0..4_000u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 20..100)
}

/// Proxies, the control plane, and all that was ever said between them.
struct World {
    book: Book,
    processes: Vec<Process>,
    ended: Vec<Process>,
    reports: Vec<SyncRequest>,
    answers: Vec<(String, u64, SyncResponse)>,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        let book = Book::new();
        book.ledger.set_budgets(vec![budget("ml", &[], LIMIT, true)]);
        let processes = (0..3).map(|index| Process::new(format!("p{index}"), 1)).collect();
        Self { book, processes, ended: Vec::new(), reports: Vec::new(), answers: Vec::new(), now_ms: 1_000_000 }
    }

    async fn receive(&mut self, request: SyncRequest) {
        let (name, epoch) = (request.proxy.clone(), request.epoch);
        let answer = self.book.ledger.sync(request, self.now_ms).await.unwrap();
        self.answers.push((name, epoch, answer));
    }

    fn answer(&self, index: usize) {
        let (name, epoch, answer) = &self.answers[index];
        let to = self.processes.iter().find(|process| process.name == *name && process.epoch == *epoch);
        if let Some(process) = to {
            process.take(answer, self.now_ms);
        }
    }

    async fn report(&mut self, p: usize, fate: Fate) {
        let request = self.processes[p].report(self.now_ms);
        self.reports.push(request.clone());
        let times = match fate {
            Fate::Lost => return,
            Fate::ArrivesTwice => 2,
            Fate::Arrives | Fate::AnswerLost => 1,
        };
        for _ in 0..times {
            self.receive(request.clone()).await;
        }
        if !matches!(fate, Fate::AnswerLost) {
            self.answer(self.answers.len() - 1);
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Request(p, amount, fate) => {
                if self.processes[p].hold(amount, self.now_ms) == Hold::Short {
                    self.report(p, fate).await;
                    self.processes[p].hold(amount, self.now_ms);
                }
            }
            Step::Settle(p, i, percent) => self.processes[p].settle(i, percent),
            Step::Report(p, fate) => self.report(p, fate).await,
            Step::ReportAgain(i) if !self.reports.is_empty() => {
                let request = self.reports[i % self.reports.len()].clone();
                self.receive(request).await;
                self.answer(self.answers.len() - 1);
            }
            Step::AnswerAgain(i) if !self.answers.is_empty() => self.answer(i % self.answers.len()),
            Step::Restart(p) => {
                let next = Process::new(self.processes[p].name.clone(), self.processes[p].epoch + 1);
                self.ended.push(std::mem::replace(&mut self.processes[p], next));
            }
            Step::Reopen => {
                self.book.reopen();
                self.book.ledger.set_budgets(vec![budget("ml", &[], LIMIT, true)]);
            }
            Step::Wait(ms) => self.now_ms += ms,
            Step::ReportAgain(_) | Step::AnswerAgain(_) => {}
        }
    }

    /// What all proxies, those that ended among them, spent and may still spend.
    fn exposure(&self) -> u64 {
        self.processes.iter().chain(&self.ended).map(Process::exposure).sum()
    }
}

async fn no_double_grant(steps: Vec<Step>) {
    let mut world = World::new();
    for step in steps {
        world.step(step).await;
        assert!(world.exposure() <= LIMIT, "the proxies may spend {} of {LIMIT}", world.exposure());
    }
    let row = world.book.ledger.budgets(world.now_ms).await.unwrap().remove(0);
    assert!(row.spent_nano_usd + row.reserved_nano_usd <= LIMIT);
    let charged = world.book.number("SELECT coalesce(sum(nano_usd), 0) FROM charged");
    assert_eq!(
        u64::try_from(charged).unwrap(),
        row.spent_nano_usd + row.reserved_nano_usd,
        "the running sum is the sum"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Messages are lost, late, repeated and out of order, both programs restart at any step: what all proxies, those
    /// that ended among them, spent and may spend stays within the limit.
    #[test]
    fn no_message_or_restart_makes_a_budget_be_granted_twice(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(no_double_grant(steps));
    }
}

/// Proxies with different demand draw on one budget until all are refused; answers cost a part of what was held.
async fn run_dry(proxies: usize, percent: u64, largest: u64) -> (u64, u64) {
    let book = Book::new();
    book.ledger.set_budgets(vec![budget("ml", &[], LIMIT, true)]);
    let mut processes: Vec<Process> = (0..proxies).map(|index| Process::new(format!("p{index}"), 1)).collect();
    let mut refused_since = None;
    let mut random = 88_172_645_463_325_252u64;
    for tick in 0..6_000u64 {
        let now = 1_000_000 + tick * 100;
        let mut held_any = false;
        for (index, process) in processes.iter_mut().enumerate() {
            while process.held.len() > 3 {
                process.settle(0, percent);
            }
            for _ in 0..=index % 3 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let amount = 1 + random % largest;
                let mut hold = process.hold(amount, now);
                if hold == Hold::Short {
                    let answer = book.ledger.sync(process.report(now), now).await.unwrap();
                    process.take(&answer, now);
                    hold = process.hold(amount, now);
                }
                held_any |= matches!(hold, Hold::Held { .. });
            }
            if (tick + index as u64).is_multiple_of(10) {
                let answer = book.ledger.sync(process.report(now), now).await.unwrap();
                process.take(&answer, now);
            }
        }
        if held_any {
            refused_since = None;
            continue;
        }
        let since = *refused_since.get_or_insert(now);
        processes.iter_mut().for_each(|process| process.settle(0, percent));
        if now - since > 10_000 {
            break;
        }
    }
    assert!(refused_since.is_some(), "the budget was never used up");
    processes.iter_mut().for_each(|process| (0..process.held.len()).for_each(|_| process.settle(0, percent)));
    (processes.iter().map(Process::spent).sum(), LIMIT)
}

#[tokio::test]
async fn at_least_98_percent_can_be_used_before_all_are_refused() {
    for (proxies, percent, largest) in
        [(1, 100, 2_000), (5, 100, 2_000), (5, 40, 2_000), (20, 100, 500), (3, 10, 4_000)]
    {
        let (spent, limit) = run_dry(proxies, percent, largest).await;
        assert!(spent <= limit, "{proxies} proxies spent {spent}");
        assert!(spent * 100 >= limit * 98, "{proxies} proxies at {percent} % used {spent} of {limit}");
    }
}

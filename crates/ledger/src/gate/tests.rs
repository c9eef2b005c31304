use model::{Country, Digest, FlowId, Purpose, Tag, UnixSeconds};
use proptest::prelude::*;

use super::*;
use crate::merkle::Frontier;
use crate::{Draft, EntryKind, Sequencer, Storage, StorageError, Subjects, Submission};

const START: u64 = 1_790_000_000;

fn gate() -> Gate {
    Gate::new(Limits::new(2, 10).unwrap())
}

/// Both clocks, this long after the start and in step.
fn at(mono_ms: u64) -> Now {
    jumped(mono_ms, 0)
}

/// The same with the wall clock off by some seconds.
fn jumped(mono_ms: u64, seconds: i64) -> Now {
    Now { mono_ms, unix_s: (START + mono_ms / 1000).checked_add_signed(seconds).unwrap() }
}

/// A gate whose round of that time was cosigned at once.
fn cosigned_at(mono_ms: u64) -> Gate {
    let mut gate = gate();
    cosign(&mut gate, 5, mono_ms).unwrap();
    gate
}

fn cosign(gate: &mut Gate, size: u64, mono_ms: u64) -> Result<(), Ignored> {
    let round = gate.begin(size, at(mono_ms));
    gate.cosigned(round, at(mono_ms).unix_s, at(mono_ms))
}

fn receipt() -> Receipt {
    struct Memory;
    impl Storage for Memory {
        fn append(&mut self, _frame: &[u8]) -> Result<(), StorageError> {
            Ok(())
        }
    }
    let mut log = Sequencer::new("gateway.example/log", Frontier::new(), Memory);
    let committed = log.commit(vec![Submission::new(&order(), Vec::new())]).unwrap();
    committed.receipts.into_iter().next().unwrap()
}

fn order() -> Draft {
    let here = Country::parse("SG").unwrap();
    Draft {
        kind: EntryKind::Border,
        direction: model::Direction::Outward,
        time: UnixSeconds(START),
        flow: FlowId::new([1; 16]),
        rulebook: Digest::new([2; 32]),
        purpose: Purpose::Support,
        place: here,
        destination: here,
        classes: Vec::new(),
        treatments: Vec::new(),
        reason: model::Reason::None,
        findings: 0,
        bytes: 0,
        rows: 0,
        detail: Digest::new([0; 32]),
        actor: Tag::new([3; 16]),
        subjects: Subjects::of(Vec::new()),
        lane: [0; 8],
        stream: None,
        facts: Vec::new(),
    }
}

#[test]
fn a_gate_that_has_seen_no_cosignature_is_red() {
    let mut gate = gate();
    assert_eq!(gate.state(at(0)), State::Red);
    gate.committed(9, at(1));
    let _unanswered = gate.begin(9, at(2));
    assert_eq!(gate.state(at(3)), State::Red);
    assert_eq!((gate.age_ms(at(3)), gate.uncosigned()), (None, 9));
}

#[test]
fn the_deadlines_are_exact() {
    let cases = [
        (1_000, State::Green),
        (3_000, State::Green),
        (3_001, State::Amber),
        (11_000, State::Amber),
        (11_001, State::Red),
        (u64::MAX / 2, State::Red),
    ];
    for (mono_ms, expected) in cases {
        assert_eq!(cosigned_at(1_000).state(at(mono_ms)), expected, "at {mono_ms}");
    }
    let mut same = Gate::new(Limits::new(3600, 3600).unwrap());
    cosign(&mut same, 1, 0).unwrap();
    assert_eq!(same.state(at(3_600_000)), State::Green);
    assert_eq!(same.state(at(3_600_001)), State::Red);
}

#[test]
fn limits_are_in_order_and_never_beyond_an_hour() {
    for (green, red) in [(1, 1), (2, 10), (1, 3600), (3600, 3600)] {
        assert!(Limits::new(green, red).is_ok());
    }
    for (green, red) in [(0, 0), (0, 5), (6, 5), (1, 3601), (u64::MAX, u64::MAX)] {
        assert_eq!(Limits::new(green, red), Err(LimitsError { green, red }));
    }
}

#[test]
fn age_counts_from_when_the_round_began_not_from_the_answer() {
    let mut gate = gate();
    let slow = gate.begin(5, at(0));
    gate.cosigned(slow, START + 9, at(9_000)).unwrap();
    assert_eq!(gate.age_ms(at(9_000)), Some(9_000));
    assert_eq!(gate.state(at(9_000)), State::Amber);
    let slower = gate.begin(6, at(9_000));
    gate.cosigned(slower, START + 30, at(30_000)).unwrap();
    assert_eq!(gate.state(at(30_000)), State::Red);
}

#[test]
fn rounds_may_overlap_and_an_overtaken_one_makes_nothing_older() {
    let mut gate = gate();
    let (first, second, third) = (gate.begin(5, at(0)), gate.begin(5, at(1_000)), gate.begin(7, at(2_000)));
    gate.cosigned(second, START + 2, at(2_500)).unwrap();
    gate.cosigned(first, START + 2, at(2_600)).unwrap();
    assert_eq!(gate.age_ms(at(2_600)), Some(1_600));
    gate.cosigned(third, START + 2, at(2_700)).unwrap();
    assert_eq!(gate.age_ms(at(2_700)), Some(700));
}

#[test]
fn a_smaller_size_than_cosigned_before_is_ignored() {
    let mut gate = gate();
    cosign(&mut gate, 7, 0).unwrap();
    assert_eq!(cosign(&mut gate, 6, 9_000), Err(Ignored::Smaller { size: 6, before: 7 }));
    assert_eq!(gate.state(at(9_000)), State::Amber);
    assert_eq!((gate.uncosigned(), gate.age_ms(at(9_000))), (0, Some(9_000)));
    // A log at rest is cosigned again at the same size.
    cosign(&mut gate, 7, 9_500).unwrap();
    assert_eq!(gate.state(at(9_500)), State::Green);
}

#[test]
fn what_is_not_yet_cosigned_is_counted() {
    let mut gate = cosigned_at(0);
    gate.committed(12, at(10));
    gate.committed(9, at(20));
    assert_eq!(gate.uncosigned(), 7);
}

#[test]
fn a_cosigner_s_clock_may_be_a_minute_off_and_no_more() {
    for apart in [-60_i64, -1, 0, 1, 60] {
        let mut gate = gate();
        let round = gate.begin(5, at(0));
        let time = START.checked_add_signed(apart).unwrap();
        assert_eq!(gate.cosigned(round, time, at(0)), Ok(()), "{apart}");
        // It stays so, however the milliseconds fall.
        for mono_ms in [1, 999, 1_000, 1_001, 1_999] {
            let early = Now { mono_ms, unix_s: START + mono_ms / 1000 };
            let late = Now { mono_ms, unix_s: START + mono_ms.div_ceil(1000) };
            assert_eq!((gate.state(early), gate.state(late)), (State::Green, State::Green), "{mono_ms}");
        }
    }
    for apart in [-1_000_000_000_i64, -61, 61, 1_000_000_000] {
        let mut gate = gate();
        let round = gate.begin(5, at(0));
        let time = START.checked_add_signed(apart).unwrap();
        assert_eq!(gate.cosigned(round, time, at(0)), Err(Ignored::ClocksApart { time, ours: START }));
        assert_eq!(gate.state(at(1)), State::Red);
        // Nor does it count once the wall clock agrees with it.
        assert_eq!(gate.state(jumped(2, apart)), State::Red);
    }
}

#[test]
fn extreme_times_do_not_overflow() {
    for (time, unix_s, mono_ms) in [(u64::MAX, 0, 0), (0, u64::MAX, u64::MAX), (u64::MAX, u64::MAX, u64::MAX)]
    {
        let mut gate = gate();
        let round = gate.begin(u64::MAX, Now { mono_ms, unix_s });
        let counted = gate.cosigned(round, time, Now { mono_ms, unix_s }).is_ok();
        assert_eq!(counted, time == unix_s);
        let _ = gate.state(Now { mono_ms: u64::MAX, unix_s: 0 });
    }
}

#[test]
fn a_jump_of_the_wall_clock_makes_no_old_cosignature_fresh() {
    for seconds in [-1_000_000, -61, -30, -1, 1, 30, 61, 1_000_000] {
        let mut gate = cosigned_at(0);
        assert_eq!(gate.state(jumped(10_001, seconds)), State::Red, "{seconds}");
    }
}

#[test]
fn a_machine_that_slept_is_red_although_its_monotonic_clock_stood() {
    let mut gate = cosigned_at(0);
    assert_eq!(gate.state(jumped(1_000, 3_600)), State::Red);
    // The jump back does not bring it back, only a new cosignature does.
    assert_eq!(gate.state(at(1_500)), State::Red);
    cosign(&mut gate, 5, 1_600).unwrap();
    assert_eq!(gate.state(at(1_600)), State::Green);
    let mut stepped_back = cosigned_at(0);
    assert_eq!(stepped_back.state(jumped(1_000, -3_600)), State::Red);
    let mut nudged = cosigned_at(0);
    assert_eq!(nudged.state(jumped(1_000, 60)), State::Green);
    assert_eq!(nudged.state(jumped(1_001, -60)), State::Green);
}

#[test]
fn a_monotonic_clock_that_goes_back_makes_nothing_younger() {
    let mut gate = cosigned_at(5_000);
    assert_eq!(gate.state(at(8_000)), State::Amber);
    assert_eq!(gate.state(at(5_000)), State::Amber);
    assert_eq!(gate.age_ms(at(5_000)), Some(3_000));
}

#[test]
fn a_round_of_another_gate_has_not_begun_in_the_future() {
    let round = gate().begin(5, at(1_000_000));
    let mut gate = gate();
    gate.cosigned(round, START, at(0)).unwrap();
    assert_eq!(gate.state(at(10_001)), State::Red);
}

#[test]
fn a_lift_ends_at_its_time() {
    let mut gate = gate();
    gate.lift(5_000, at(1_000), receipt()).unwrap();
    assert_eq!(gate.lifted_until_ms(), Some(5_000));
    assert_eq!(gate.state(at(4_999)), State::Lifted);
    assert_eq!(gate.state(at(5_000)), State::Red);
    assert_eq!(gate.lifted_until_ms(), None);
    gate.lift(9_000, at(6_000), receipt()).unwrap();
    gate.end_lift();
    assert_eq!(gate.state(at(6_001)), State::Red);
}

#[test]
fn a_lift_is_for_red_only_and_for_30_minutes_at_most() {
    assert_eq!(cosigned_at(0).lift(60_000, at(2_000), receipt()), Err(LiftError::NotRed));
    assert_eq!(cosigned_at(0).lift(60_000, at(10_000), receipt()), Err(LiftError::NotRed));
    assert_eq!(cosigned_at(0).lift(60_000, at(10_001), receipt()), Ok(()));
    let now = at(1_000);
    for past in [0, 999, 1_000] {
        assert_eq!(gate().lift(past, now, receipt()), Err(LiftError::Ended));
    }
    let end = 1_000 + 30 * 60 * 1000;
    assert_eq!(gate().lift(end, now, receipt()), Ok(()));
    assert_eq!(gate().lift(end + 1, now, receipt()), Err(LiftError::TooLong { millis: 1_800_001 }));
    assert_eq!(gate().lift(u64::MAX, now, receipt()), Err(LiftError::TooLong { millis: u64::MAX - 1_000 }));
}

#[test]
fn a_lift_ends_for_good_when_the_gate_is_green_again() {
    let mut gate = gate();
    gate.lift(600_000, at(0), receipt()).unwrap();
    let late = gate.begin(5, at(1_000));
    // Amber does not end it: the cosigners are not back in time yet.
    gate.cosigned(late, START + 8, at(8_000)).unwrap();
    assert_eq!(gate.state(at(8_000)), State::Amber);
    assert_eq!(gate.state(at(11_001)), State::Lifted);
    // Nobody asks while it is green.
    cosign(&mut gate, 6, 12_000).unwrap();
    assert_eq!(gate.state(at(22_001)), State::Red);
}

#[derive(Debug, Clone)]
enum Event {
    Pass(u64),
    Jump(i64),
    Commit(u64),
    Begin(u64),
    /// Which open round is answered, and how far the cosigner's clock is from the true time.
    Answer(usize, i64),
    Lift(u64),
    Look,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => prop_oneof![0_u64..3_000, Just(2_000), Just(10_000), 0_u64..40_000].prop_map(Event::Pass),
        1 => prop_oneof![-70_i64..70, -5_000_i64..5_000].prop_map(Event::Jump),
        1 => (0_u64..50).prop_map(Event::Commit),
        3 => (0_u64..50).prop_map(Event::Begin),
        3 => (0_usize..4, prop_oneof![4 => -5_i64..5, 1 => -100_i64..100]).prop_map(|(at, off)| Event::Answer(at, off)),
        1 => (0_u64..4_000_000).prop_map(Event::Lift),
        2 => Just(Event::Look),
    ];
    proptest::collection::vec(event, 1..60)
}

/// What the gate may rely on, kept the simple way: every answered round, and the last lift.
#[derive(Default)]
struct Model {
    mono_ms: u64,
    off_s: i64,
    open: Vec<(Round, u64)>,
    /// When each answered round began.
    answered: Vec<u64>,
    lift: Option<(u64, u64)>,
    green_since_lift: bool,
}

impl Model {
    fn now(&self) -> Now {
        jumped(self.mono_ms, self.off_s)
    }

    fn youngest_ms(&self) -> Option<u64> {
        self.answered.iter().map(|began| self.mono_ms - began).min()
    }

    fn apply(&mut self, gate: &mut Gate, event: &Event) {
        match event {
            Event::Pass(millis) => self.mono_ms += millis,
            Event::Jump(seconds) => self.off_s += seconds,
            Event::Commit(size) => gate.committed(*size, self.now()),
            Event::Begin(size) => self.open.push((gate.begin(*size, self.now()), self.mono_ms)),
            Event::Answer(at, off) if !self.open.is_empty() => {
                let (round, began) = self.open.remove(at % self.open.len());
                let time = (START + self.mono_ms / 1000).checked_add_signed(*off).unwrap();
                let apart = time.abs_diff(self.now().unix_s) > APART_SECONDS_MAX;
                let counted = gate.cosigned(round, time, self.now()).is_ok();
                assert!(!(counted && apart), "a clock that far off must not count");
                self.answered.extend(counted.then_some(began));
            }
            Event::Lift(millis) => {
                let until = self.mono_ms + millis;
                if gate.lift(until, self.now(), receipt()).is_ok() {
                    assert!(*millis <= LIFT_MILLIS_MAX);
                    self.lift = Some((self.mono_ms, until));
                    self.green_since_lift = false;
                }
            }
            Event::Answer(..) | Event::Look => {}
        }
    }

    fn check(&mut self, state: State) {
        let age = self.youngest_ms();
        match state {
            State::Green => assert!(age.is_some_and(|age| age <= 2_000), "green at the age {age:?}"),
            State::Amber => assert!(age.is_some_and(|age| age <= 10_000), "amber at the age {age:?}"),
            State::Lifted => {
                let (_, until) = self.lift.unwrap();
                assert!(self.mono_ms < until && !self.green_since_lift, "lifted beyond the end");
            }
            State::Red => {}
        }
        self.green_since_lift |= state == State::Green;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Without a round that began within the limit and was cosigned, there is no way through but a
    /// lift, whatever the order of events and however the wall clock jumps.
    #[test]
    fn the_gate_is_red_without_a_recent_cosigned_round(events in events()) {
        let (mut gate, mut model) = (gate(), Model::default());
        for event in &events {
            model.apply(&mut gate, event);
            let state = gate.state(model.now());
            model.check(state);
        }
    }

    /// The other half: with steady clocks and a log that grows, the state is exactly that of the age.
    #[test]
    fn with_steady_clocks_the_state_is_that_of_the_age(
        steps in proptest::collection::vec((0_u64..5_000, 0_u64..4_000, any::<bool>()), 1..40),
    ) {
        let (mut gate, mut now_ms, mut began_ms) = (gate(), 0, None);
        for (size, (pause, delay, answered)) in (1..).zip(steps) {
            now_ms += pause;
            let began = now_ms;
            let round = gate.begin(size, at(now_ms));
            now_ms += delay;
            if answered {
                gate.cosigned(round, at(now_ms).unix_s, at(now_ms)).unwrap();
                began_ms = Some(began);
            }
            let expected = match began_ms.map(|began| now_ms - began) {
                Some(..=2_000) => State::Green,
                Some(..=10_000) => State::Amber,
                _ => State::Red,
            };
            prop_assert_eq!(gate.state(at(now_ms)), expected);
        }
    }

    #[test]
    fn a_gate_closes_by_itself_and_stays_closed(events in events(), later in 2_000_000_u64..u64::MAX / 4) {
        let (mut gate, mut model) = (gate(), Model::default());
        events.iter().for_each(|event| model.apply(&mut gate, event));
        model.mono_ms += later;
        model.off_s = 0;
        prop_assert_eq!(gate.state(model.now()), State::Red);
        prop_assert_eq!(gate.state(model.now()), State::Red);
    }
}

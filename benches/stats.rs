//! What the runs of two sides say about their ratio.

/// How often the runs are drawn again for an interval.
const DRAWS: usize = 2_000;

/// The middle value; of an even number of values the middle of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    at(sorted.len().saturating_sub(1) / 2).midpoint(at(sorted.len() / 2))
}

/// The value below which this share of them lies.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few values")]
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (share * sorted.len() as f64) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The ratio of the medians of two sides, whose runs are pairs, and between what it lies in 95 of 100 draws.
pub(crate) fn ratio(ours: &[f64], other: &[f64]) -> (f64, [f64; 2]) {
    ratio_within(ours, other, 0.95)
}

/// The same for another share of the draws.
pub(crate) fn ratio_within(ours: &[f64], other: &[f64], share: f64) -> (f64, [f64; 2]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or_default() % below.max(1)
    };
    let pairs: Vec<_> = ours.iter().copied().zip(other.iter().copied()).collect();
    let of = |pairs: &[(f64, f64)]| {
        let (ours, other): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        median(&ours) / median(&other)
    };
    let mut draws = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let drawn: Vec<_> = (0..pairs.len()).filter_map(|_| pairs.get(draw(pairs.len())).copied()).collect();
        draws.push(of(&drawn));
    }
    (of(&pairs), [quantile(&draws, (1.0 - share) / 2.0), quantile(&draws, f64::midpoint(1.0, share))])
}

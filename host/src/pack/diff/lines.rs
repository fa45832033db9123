//! Two texts line by line: the longest common run of lines stays, the rest is taken away or added.

/// More pairs of lines than these are not compared one by one: the whole text is shown as replaced.
const MAX_PAIRS: usize = 1 << 20;

/// Every line of both, in order, with ` `, `-` or `+`.
pub(super) fn diff<'t>(was: &'t str, is: &'t str) -> Vec<(char, &'t str)> {
    let (was, is): (Vec<&str>, Vec<&str>) = (was.lines().collect(), is.lines().collect());
    let common = if was.len().saturating_mul(is.len()) <= MAX_PAIRS { common(&was, &is) } else { Vec::new() };
    let mut out = Vec::with_capacity(was.len() + is.len());
    let (mut a, mut b) = (0, 0);
    let end = (was.len(), is.len());
    for (next_a, next_b) in common.into_iter().chain([end]) {
        out.extend(was.get(a..next_a).unwrap_or_default().iter().map(|line| ('-', *line)));
        out.extend(is.get(b..next_b).unwrap_or_default().iter().map(|line| ('+', *line)));
        out.extend(was.get(next_a).map(|line| (' ', *line)));
        (a, b) = (next_a + 1, next_b + 1);
    }
    out
}

/// The places of a longest common subsequence, in both.
fn common(was: &[&str], is: &[&str]) -> Vec<(usize, usize)> {
    // `longest[a][b]`: of what is left from line `a` and from line `b` on.
    let mut longest = vec![vec![0_u32; is.len() + 1]; was.len() + 1];
    let at = |longest: &[Vec<u32>], a: usize, b: usize| longest.get(a).and_then(|row| row.get(b)).copied().unwrap_or(0);
    for (a, old) in was.iter().enumerate().rev() {
        for (b, new) in is.iter().enumerate().rev() {
            let best = if old == new {
                at(&longest, a + 1, b + 1) + 1
            } else {
                at(&longest, a + 1, b).max(at(&longest, a, b + 1))
            };
            if let Some(cell) = longest.get_mut(a).and_then(|row| row.get_mut(b)) {
                *cell = best;
            }
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut places = Vec::new();
    while let (Some(old), Some(new)) = (was.get(a), is.get(b)) {
        if old == new {
            places.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if at(&longest, a + 1, b) >= at(&longest, a, b + 1) {
            a += 1;
        } else {
            b += 1;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_what_goes_what_comes() {
        let (was, is) = ("a\nb\nc\nd", "a\nx\nc\nd\ne");
        assert_eq!(diff(was, is), [(' ', "a"), ('-', "b"), ('+', "x"), (' ', "c"), (' ', "d"), ('+', "e")]);
        assert_eq!(diff("", "a"), [('+', "a")]);
        assert_eq!(diff("a", ""), [('-', "a")]);
        assert_eq!(diff("a\nb", "a\nb"), [(' ', "a"), (' ', "b")]);
    }
}

//! Sizes that depend on the inputs' sizes: polynomials of symbols such as the batch size.

use crate::{Error, Result};

/// A size of an input that may differ from call to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// What messages call it: `batch`.
    pub name: String,
    /// The least and the greatest value that a call may bring.
    pub min: i64,
    /// See `min`.
    pub max: i64,
}

/// A product of symbols, each named by its number, times an integer. Without symbols it is the integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The factor.
    pub coefficient: i64,
    /// Numbers of the symbols, rising.
    pub symbols: Vec<usize>,
}

/// An integer of a program: known, or Σ terms / divisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// The same in every call.
    Known(i64),
    /// Depends on the sizes of the inputs; the division leaves no rest, or the call fails.
    Varies {
        /// At least one has symbols.
        terms: Vec<Term>,
        /// At least 1.
        divisor: i64,
    },
}

impl Size {
    /// The symbol, if the size is one and nothing else.
    pub fn symbol(&self) -> Option<usize> {
        match self {
            Size::Varies { terms, divisor: 1 } => match terms.as_slice() {
                [Term { coefficient: 1, symbols }] if symbols.len() == 1 => Some(symbols[0]),
                _ => None,
            },
            _ => None,
        }
    }

    /// The size that is symbol number `at`.
    pub fn of_symbol(at: usize) -> Size {
        Size::Varies { terms: vec![Term { coefficient: 1, symbols: vec![at] }], divisor: 1 }
    }

    /// Whether it is well formed where there are `symbols` symbols.
    pub(super) fn is_of(&self, symbols: usize) -> bool {
        match self {
            Size::Known(_) => true,
            Size::Varies { terms, divisor } => *divisor >= 1 && terms.iter().flat_map(|t| &t.symbols).all(|&s| s < symbols),
        }
    }

    /// The value where the symbols have `values`.
    ///
    /// # Errors
    /// If it is no integer, or one beyond 64 bits.
    pub fn value(&self, values: &[i64]) -> Result<i64> {
        let (terms, divisor) = match self {
            Size::Known(value) => return Ok(*value),
            Size::Varies { terms, divisor } => (terms, *divisor),
        };
        let sum = sum(terms, values)?;
        if divisor < 1 || sum % divisor != 0 {
            return Err(Error::value(format!("a size of the program is {sum}/{divisor}, no integer, where its symbols are {values:?}")));
        }
        Ok(sum / divisor)
    }

    /// As people read it: `4*batch + 1`.
    pub fn text(&self, symbols: &[Symbol]) -> String {
        match self {
            Size::Known(value) => value.to_string(),
            Size::Varies { terms, divisor } => {
                let term = |term: &Term| {
                    let mut factors: Vec<String> =
                        term.symbols.iter().map(|&at| symbols.get(at).map_or_else(|| format!("s{at}"), |s| s.name.clone())).collect();
                    if factors.is_empty() || term.coefficient.unsigned_abs() != 1 {
                        factors.insert(0, term.coefficient.to_string());
                    } else if term.coefficient < 0 {
                        factors[0].insert(0, '-');
                    }
                    factors.join("*")
                };
                let sum = terms.iter().map(term).collect::<Vec<_>>().join(" + ").replace("+ -", "- ");
                match (divisor, terms.len()) {
                    (1, _) => sum,
                    (_, 1) => format!("{sum}/{divisor}"),
                    _ => format!("({sum})/{divisor}"),
                }
            }
        }
    }

    /// The polynomial through `values`, which an integer of the program had where the symbols had `points`. Point number `m`
    /// (of 2ⁿ) has the first value of each symbol but for those in the bits of `m`, which have another.
    ///
    /// None if there is no such polynomial with coefficients that are fractions of moderate size.
    pub fn through(points: &[Vec<i64>], values: &[i64]) -> Option<Size> {
        let first = *values.first()?;
        if values.iter().all(|&v| v == first) {
            return Some(Size::Known(first));
        }
        let base: Vec<i128> = points.first()?.iter().map(|&v| v.into()).collect();
        let symbols = base.len();
        let sets = 1usize.checked_shl(u32::try_from(symbols).ok()?).filter(|&sets| sets <= values.len())?;
        // Newton's form in the differences from the first point, one difference quotient for each set of symbols.
        let steps = (0..symbols).map(|s| Some(i128::from(*points.get(1 << s)?.get(s)?) - base[s])).collect::<Option<Vec<_>>>()?;
        let mut differences: Vec<i128> = values[..sets].iter().map(|&v| v.into()).collect();
        for s in 0..symbols {
            for set in 0..sets {
                if set & (1 << s) != 0 {
                    differences[set] = differences[set].checked_sub(differences[set ^ (1 << s)])?;
                }
            }
        }
        // Over one divisor, the product of all steps.
        let divisor = product(steps.iter().copied()).filter(|&d| d != 0)?;
        let mut coefficients = vec![0i128; sets];
        for set in 0..sets {
            // Δ/steps(set) · Π (x - base) over the set, multiplied out.
            let others = product((0..symbols).filter(|s| set & (1 << s) == 0).map(|s| steps[s]))?;
            let scale = differences[set].checked_mul(others)?;
            for part in 0..=set {
                if part & set == part {
                    let rest = product((0..symbols).filter(|s| (set ^ part) & (1 << s) != 0).map(|s| -base[s]))?;
                    coefficients[part] = coefficients[part].checked_add(scale.checked_mul(rest)?)?;
                }
            }
        }
        let common = coefficients.iter().fold(divisor, |a, &b| greatest_common_divisor(a, b)) * divisor.signum();
        let divisor = i64::try_from(divisor / common).ok()?;
        let mut terms = Vec::new();
        for set in (1..sets).chain([0]) {
            let coefficient = i64::try_from(coefficients[set] / common).ok()?;
            if coefficient != 0 {
                terms.push(Term { coefficient, symbols: (0..symbols).filter(|s| set & (1 << s) != 0).collect() });
            }
        }
        let size = Size::Varies { terms, divisor };
        points.iter().zip(values).all(|(point, &value)| size.value(point).is_ok_and(|v| v == value)).then_some(size)
    }
}

fn product(mut factors: impl Iterator<Item = i128>) -> Option<i128> {
    factors.try_fold(1, i128::checked_mul)
}

fn greatest_common_divisor(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// What has to hold of the sizes that vary: Python branched on it, or divided by a number, while the program was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The sum of these is compared.
    pub terms: Vec<Term>,
    /// With what.
    pub is: Relation,
}

/// What a [`Guard`] asks of its sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It is 0 or more.
    AtLeastZero,
    /// It is not 0.
    NotZero,
    /// It is a multiple of this number, which is 1 or more.
    Multiple(i64),
}

impl Guard {
    /// Whether it is well formed where there are `symbols` symbols.
    pub(super) fn is_of(&self, symbols: usize) -> bool {
        let known = self.terms.iter().flat_map(|t| &t.symbols).all(|&s| s < symbols);
        known && !matches!(self.is, Relation::Multiple(..1))
    }

    /// Whether it holds where the symbols have `values`; not so where its sum is beyond 64 bits.
    pub fn holds(&self, values: &[i64]) -> bool {
        let Ok(sum) = sum(&self.terms, values) else { return false };
        match self.is {
            Relation::AtLeastZero => sum >= 0,
            Relation::NotZero => sum != 0,
            Relation::Multiple(of) => sum.checked_rem(of) == Some(0),
        }
    }

    /// As people read it: `length <= 32`, `(length - 1) % 4 == 0`.
    pub fn text(&self, symbols: &[Symbol]) -> String {
        let (numbers, mut terms): (Vec<Term>, Vec<Term>) = self.terms.iter().cloned().partition(|t| t.symbols.is_empty());
        let number = numbers.iter().fold(0i64, |sum, t| sum.saturating_add(t.coefficient));
        if let Relation::Multiple(of) = self.is {
            let text = Size::Varies { terms: self.terms.clone(), divisor: 1 }.text(symbols);
            return if self.terms.len() == 1 { format!("{text} % {of} == 0") } else { format!("({text}) % {of} == 0") };
        }
        let falls = terms.first().is_some_and(|t| t.coefficient < 0);
        if falls {
            terms.iter_mut().for_each(|t| t.coefficient = t.coefficient.saturating_neg());
        }
        let text = if terms.is_empty() { "0".into() } else { Size::Varies { terms, divisor: 1 }.text(symbols) };
        let sign = match (self.is, falls) {
            (Relation::NotZero, _) => "!=",
            (_, true) => "<=",
            (_, false) => ">=",
        };
        format!("{text} {sign} {}", if falls { number } else { number.saturating_neg() })
    }
}

/// Σ terms where the symbols have `values`.
fn sum(terms: &[Term], values: &[i64]) -> Result<i64> {
    let mut sum = 0i64;
    for term in terms {
        let product = term.symbols.iter().try_fold(term.coefficient, |product, &at| product.checked_mul(*values.get(at)?));
        match product.and_then(|product| sum.checked_add(product)) {
            Some(next) => sum = next,
            None => return Err(Error::value(format!("a size of the program is beyond 64 bits where its symbols are {values:?}"))),
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(symbols: usize, base: &[i64], other: &[i64], last: &[i64]) -> Vec<Vec<i64>> {
        let mut all: Vec<Vec<i64>> =
            (0..1usize << symbols).map(|m| (0..symbols).map(|s| if m & (1 << s) != 0 { other[s] } else { base[s] }).collect()).collect();
        all.push(last.to_vec());
        all
    }

    #[test]
    fn a_polynomial_is_found_from_its_values() {
        let at = points(2, &[3, 8], &[5, 6], &[7, 9]);
        let functions: [fn(i64, i64) -> i64; 6] =
            [|b, _| 4 * b + 1, |b, t| b * t, |b, t| 2 * b * t - 3 * t + b, |b, _| -b, |_, _| 7, |_, t| t - 8];
        for f in functions {
            let values: Vec<i64> = at.iter().map(|p| f(p[0], p[1])).collect();
            let size = Size::through(&at, &values).expect("a polynomial");
            assert_eq!(size.value(&[11, 13]).expect("an integer"), f(11, 13));
        }
    }

    #[test]
    fn a_quotient_is_exact_or_an_error() {
        let at = points(1, &[4], &[6], &[10]);
        let size = Size::through(&at, &[3, 4, 6]).expect("half and one");
        assert_eq!(size.value(&[8]).expect("an integer"), 5);
        assert!(size.value(&[7]).is_err());
        let symbols = [Symbol { name: "batch".into(), min: 1, max: 9 }];
        assert_eq!(size.text(&symbols), "(batch + 2)/2");
        let falls =
            Size::Varies { terms: vec![Term { coefficient: 3, symbols: vec![] }, Term { coefficient: -1, symbols: vec![0] }], divisor: 1 };
        assert_eq!(falls.text(&symbols), "3 - batch");
    }

    #[test]
    fn other_functions_are_refused() {
        let at = points(1, &[4], &[6], &[9]);
        assert_eq!(Size::through(&at, &[16, 36, 81]), None);
        assert_eq!(Size::through(&at, &[4, 4, 5]), None);
    }

    #[test]
    fn guards_hold_where_they_say() {
        let symbols = [Symbol { name: "batch".into(), min: 1, max: 99 }, Symbol { name: "length".into(), min: 1, max: 99 }];
        let term = |coefficient, symbols: &[usize]| Term { coefficient, symbols: symbols.into() };
        let guard = |terms: &[Term], is| Guard { terms: terms.into(), is };
        let few = guard(&[term(-1, &[1]), term(32, &[])], Relation::AtLeastZero);
        assert_eq!(few.text(&symbols), "length <= 32");
        assert!(few.holds(&[1, 32]) && !few.holds(&[1, 33]));
        let more = guard(&[term(1, &[0]), term(-2, &[1])], Relation::AtLeastZero);
        assert_eq!(more.text(&symbols), "batch - 2*length >= 0");
        assert!(more.holds(&[6, 3]) && !more.holds(&[6, 4]));
        let other = guard(&[term(1, &[0]), term(-16, &[])], Relation::NotZero);
        assert_eq!(other.text(&symbols), "batch != 16");
        assert!(other.holds(&[15, 1]) && !other.holds(&[16, 1]));
        let rest = guard(&[term(1, &[1]), term(-1, &[])], Relation::Multiple(4));
        assert_eq!(rest.text(&symbols), "(length - 1) % 4 == 0");
        assert!(rest.holds(&[1, 9]) && rest.holds(&[1, 1]) && !rest.holds(&[1, 8]));
        assert!(!guard(&[term(i64::MAX, &[0, 0])], Relation::AtLeastZero).holds(&[2, 2]));
        assert!(!guard(&[term(1, &[0])], Relation::Multiple(0)).is_of(2) && !guard(&[term(1, &[2])], Relation::NotZero).is_of(2));
    }

    #[test]
    fn overflow_is_an_error() {
        let size = Size::Varies { terms: vec![Term { coefficient: i64::MAX, symbols: vec![0, 0] }], divisor: 1 };
        assert!(size.value(&[2]).is_err());
        assert!(size.value(&[]).is_err());
        // Points that determine nothing.
        assert_eq!(Size::through(&[], &[1, 2]), None);
        assert_eq!(Size::through(&[vec![1], vec![1]], &[1, 2]), None);
        assert_eq!(Size::through(&[vec![], vec![]], &[1, 2]), None);
        assert_eq!(Size::through(&[vec![1, 2]], &[1, 2, 3, 4]), None);
        assert_eq!(
            Size::through(&[vec![i64::MIN, 0], vec![i64::MAX, 0], vec![0, i64::MAX], vec![1, 1]], &[i64::MIN, i64::MAX, 0, 1]),
            None
        );
        assert!(Size::Varies { terms: vec![], divisor: 0 }.value(&[]).is_err());
    }
}

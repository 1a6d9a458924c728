//! Errors for people.

/// An error with its causes in one line. A cause that the text before it already holds is not said twice.
#[must_use]
pub fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::told;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("no such file").context("cannot read a: no such file").context("the ring");

        assert_eq!(told(&error), "the ring: cannot read a: no such file");
    }
}

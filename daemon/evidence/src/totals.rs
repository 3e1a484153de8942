//! Sums that outlive what was counted, by name and label. Labels are as Prometheus writes them.

use std::collections::BTreeMap;

use rusqlite::Connection;

/// Upper bounds of the buckets of a call's latency, in milliseconds.
pub(crate) const BUCKETS_MS: [u64; 10] =
    [100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000];

/// What a batch adds.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    more: BTreeMap<(&'static str, String), i64>,
    set: BTreeMap<(&'static str, String), i64>,
}

impl Sums {
    pub(crate) fn add(&mut self, name: &'static str, label: &[(&str, &str)], value: u64) {
        if value > 0 {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            let sum = self.more.entry((name, written(label))).or_default();
            *sum = sum.saturating_add(value);
        }
    }

    pub(crate) fn set(&mut self, name: &'static str, label: &[(&str, &str)], value: i64) {
        self.set.insert((name, written(label)), value);
    }

    pub(crate) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut add = connection.prepare_cached(
            "INSERT INTO total (name, label, value) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET value = value + excluded.value",
        )?;
        for ((name, label), value) in self.more {
            add.execute((name, label, value))?;
        }
        let mut set = connection.prepare_cached(
            "INSERT INTO total (name, label, value) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET value = excluded.value",
        )?;
        for ((name, label), value) in self.set {
            set.execute((name, label, value))?;
        }
        Ok(())
    }
}

/// `tier="small",model="x"`.
pub(crate) fn written(label: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    label.iter().map(pair).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_be_left() {
        assert_eq!(written(&[("a", "x\"} 1\n"), ("b", "\\")]), r#"a="x\"} 1\n",b="\\""#);
    }
}

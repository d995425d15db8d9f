//! Package indexes of a suite: parsed once, kept small, searched by name.
//!
//! `Packages` files are 50 MB of which a resolver needs a quarter; the rest is dropped when a file
//! is first read, and what stays is kept in the cache under the hash of the file.

use std::collections::{BTreeMap, HashMap};

use debversion::Version;

use crate::environment::EnvironmentError;

/// One package as an index describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Package<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub architecture: &'a str,
    pub essential: bool,
    /// Pre-Depends and Depends.
    pub depends: &'a str,
    pub provides: &'a str,
    pub filename: &'a str,
    pub size: u64,
    pub sha256: &'a str,
    /// Which of the archives that the index was made from.
    pub archive: &'static str,
}

/// Keeps of a `Packages` text what [`Index`] needs: a line a package, fields separated by tabs.
pub(crate) fn compact(packages: &str, what: &str) -> Result<String, EnvironmentError> {
    let mut out = String::with_capacity(packages.len() / 3);
    let mut fields: [&str; 10] = [""; 10];
    for line in packages.lines().chain(std::iter::once("")) {
        if line.is_empty() {
            if !fields[0].is_empty() {
                push_line(&mut out, &fields).ok_or_else(|| EnvironmentError::Malformed {
                    what: what.to_owned(),
                    reason: format!("the paragraph of {:?} is not complete", fields[0]),
                })?;
            }
            fields = [""; 10];
            continue;
        }
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let slot = match key {
            "Package" => 0,
            "Version" => 1,
            "Architecture" => 2,
            "Essential" => 3,
            "Pre-Depends" => 4,
            "Depends" => 5,
            "Provides" => 6,
            "Filename" => 7,
            "Size" => 8,
            "SHA256" => 9,
            _ => continue,
        };
        fields[slot] = value.trim();
    }
    Ok(out)
}

fn push_line(out: &mut String, fields: &[&str; 10]) -> Option<()> {
    let [
        name,
        version,
        architecture,
        essential,
        pre_depends,
        depends,
        provides,
        filename,
        size,
        sha256,
    ] = fields;
    let safe_name = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    let safe_path = !filename.starts_with('/')
        && !filename
            .split('/')
            .any(|part| part == ".." || part.is_empty());
    let hash = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
    if !safe_name(name) || version.is_empty() || !safe_path || !hash || size.parse::<u64>().is_err()
    {
        return None;
    }
    let separator = if pre_depends.is_empty() || depends.is_empty() {
        ""
    } else {
        ", "
    };
    let essential = if *essential == "yes" { "y" } else { "" };
    for part in [
        name,
        "\t",
        version,
        "\t",
        architecture,
        "\t",
        essential,
        "\t",
    ] {
        out.push_str(part);
    }
    for part in [
        pre_depends,
        separator,
        depends,
        "\t",
        provides,
        "\t",
        filename,
        "\t",
        size,
        "\t",
        sha256,
        "\n",
    ] {
        out.push_str(part);
    }
    Some(())
}

/// Everything that the pockets of a suite offer.
pub(crate) struct Index {
    suite: String,
    texts: Vec<String>,
    archives: Vec<&'static str>,
    /// The lines of each name: text, start, end.
    names: HashMap<u64, Vec<(usize, usize, usize)>>,
    /// Real packages that provide a name, sorted.
    provided: BTreeMap<String, Vec<String>>,
}

fn hash(name: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

impl Index {
    /// Joins the compact texts of a suite's pockets.
    pub(crate) fn new(suite: &str, pockets: Vec<(&'static str, String)>) -> Self {
        let (archives, texts): (Vec<&'static str>, Vec<String>) = pockets.into_iter().unzip();
        let mut names: HashMap<u64, Vec<(usize, usize, usize)>> = HashMap::new();
        let mut provided: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (number, text) in texts.iter().enumerate() {
            let mut start = 0;
            for line in text.split_inclusive('\n') {
                let end = start + line.len() - 1;
                let position = (number, start, end);
                start += line.len();
                let name = line.split('\t').next().unwrap_or_default();
                names.entry(hash(name)).or_default().push(position);
                let relations = line.split('\t').nth(5).unwrap_or_default();
                for virtual_name in relations
                    .split(',')
                    .filter_map(|part| part.split_whitespace().next())
                {
                    provided
                        .entry(virtual_name.to_owned())
                        .or_default()
                        .push(name.to_owned());
                }
            }
        }
        for names in provided.values_mut() {
            names.sort();
            names.dedup();
        }
        Self {
            suite: suite.to_owned(),
            texts,
            archives,
            names,
            provided,
        }
    }

    /// The suite's name, for messages.
    pub(crate) fn suite(&self) -> &str {
        &self.suite
    }

    /// The highest version of a package, from the first pocket that has it.
    pub(crate) fn package(&self, name: &str) -> Option<Package<'_>> {
        self.names
            .get(&hash(name))?
            .iter()
            .rev()
            .filter_map(|position| self.at(*position))
            .filter(|package| package.name == name)
            .max_by(|a, b| compare(a.version, b.version))
    }

    /// Real packages that provide a name.
    pub(crate) fn providers(&self, name: &str) -> &[String] {
        self.provided.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every package that is marked as essential, sorted.
    pub(crate) fn essential(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .texts
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| line.split('\t').nth(3) == Some("y"))
            .filter_map(|line| line.split('\t').next())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every name, for suggestions.
    pub(crate) fn all_names(&self) -> impl Iterator<Item = &str> {
        self.texts
            .iter()
            .flat_map(|text| text.lines())
            .filter_map(|line| line.split('\t').next())
    }

    fn at(&self, (text, start, end): (usize, usize, usize)) -> Option<Package<'_>> {
        let line = self.texts.get(text)?.get(start..end)?;
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        Some(Package {
            name: next()?,
            version: next()?,
            architecture: next()?,
            essential: next()? == "y",
            depends: next()?,
            provides: next()?,
            filename: next()?,
            size: next()?.parse().ok()?,
            sha256: next()?,
            archive: self.archives.get(text)?,
        })
    }
}

/// Debian's order of versions; text that is no version sorts as text.
pub(crate) fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    match (Version::parse_lenient(a), Version::parse_lenient(b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paragraph(name: &str, version: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nPre-Depends: a\nDepends: b (>= 1) | c\nProvides: v (= 1), w\n\
             Description: x\n continued: y\nFilename: pool/{name}.deb\nSize: 5\nSHA256: {}\n\n",
            "a".repeat(64)
        )
    }

    #[test]
    fn the_highest_version_of_all_pockets_wins() {
        let pocket = |archive, version| (archive, compact(&paragraph("x", version), "t").unwrap());
        let pockets = [
            ("debian", "1.9-1"),
            ("debian", "1.10-1"),
            ("debian-security", "1.10-1"),
            ("debian", "1.10~rc1-1"),
        ];
        let index = Index::new(
            "trixie",
            pockets
                .map(|(archive, version)| pocket(archive, version))
                .to_vec(),
        );
        let package = index.package("x").unwrap();
        assert_eq!((package.version, package.archive), ("1.10-1", "debian"));
        assert_eq!(package.depends, "a, b (>= 1) | c");
        assert_eq!(index.providers("w"), ["x"]);
    }

    #[test]
    fn a_file_name_that_leaves_the_archive_is_refused() {
        let text = paragraph("x", "1").replace("pool/x.deb", "pool/../../x.deb");
        assert!(compact(&text, "t").is_err());
    }

    #[test]
    fn versions_follow_debians_order() {
        use std::cmp::Ordering::{Greater, Less};
        assert_eq!(compare("1:1.0", "2.0"), Greater);
        assert_eq!(compare("1.0~beta", "1.0"), Less);
        assert_eq!(compare("1.0+b10", "1.0+b9"), Greater);
    }
}

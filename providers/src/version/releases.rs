//! Which versions of each tool are current: the one table of defaults and of the ends of support.
//!
//! A default is the newest long-term or stable line that every package source has.

/// The day on which the table was right.
pub(super) const DATE: &str = "2026-11-21";

/// A release line.
pub(super) struct Line {
    /// As npm's ranges write it: `22`, `3.3`.
    pub(super) name: &'static str,
    /// The last day of security fixes; empty when nobody has set one.
    pub(super) until: &'static str,
    /// Whether to choose it unasked when a range allows it; lines that live half a year are not.
    pub(super) lasting: bool,
}

/// The release lines of a tool, newest first.
pub(super) struct Releases {
    pub(super) tool: &'static str,
    /// What an application gets that asks for nothing.
    pub(super) default: &'static str,
    pub(super) lines: &'static [Line],
}

impl Releases {
    /// The default, then supported lines below it, above it, and all others.
    pub(super) fn by_preference(&self) -> impl Iterator<Item = &'static str> {
        let lines = self.lines;
        let default = lines
            .iter()
            .position(|line| line.name == self.default)
            .unwrap_or_default();
        let good = |line: &&Line| line.lasting && (line.until.is_empty() || line.until >= DATE);
        let below = lines.iter().skip(default).filter(good);
        let above = lines.iter().take(default).filter(|line| line.lasting);
        below.chain(above).chain(lines).map(|line| line.name)
    }
}

/// What is known of a tool; nothing of one that the table lacks.
pub(super) fn of(tool: &str) -> &'static Releases {
    const UNKNOWN: Releases = Releases {
        tool: "",
        default: "*",
        lines: &[],
    };
    TABLE
        .iter()
        .find(|releases| releases.tool == tool)
        .unwrap_or(&UNKNOWN)
}

const fn lasting(name: &'static str, until: &'static str) -> Line {
    Line {
        name,
        until,
        lasting: true,
    }
}

const fn brief(name: &'static str, until: &'static str) -> Line {
    Line {
        name,
        until,
        lasting: false,
    }
}

#[rustfmt::skip]
const TABLE: &[Releases] = &[
    // The line that both reachable sources are sure to have; minor releases do not break programs.
    Releases { tool: "bun", default: "1", lines: &[lasting("1", "")] },
    // The versions of the default Debian suite. A minor release breaks nothing, by Crystal's promise since 1.0.
    Releases { tool: "crystal", default: "1", lines: &[lasting("1", "")] },
    Releases { tool: "deno", default: "2", lines: &[lasting("2", ""), lasting("1", "2024-10-09")] },
    // Source: the policy of .NET's releases; odd ones live two years.
    Releases { tool: "dotnet-sdk", default: "10.0", lines: &[
        lasting("10.0", "2028-11-14"), brief("9.0", "2026-11-10"), lasting("8.0", "2026-11-10"), brief("7.0", "2024-05-14"), lasting("6.0", "2024-11-12"),
    ] },
    // The version of the default Debian suite. The last five minor releases get fixes; a minor release breaks nothing.
    Releases { tool: "elixir", default: "1.18", lines: &[
        lasting("1.20", ""), lasting("1.19", ""), lasting("1.18", ""), lasting("1.17", ""), lasting("1.16", ""),
        lasting("1.15", "2025-10-16"), lasting("1.14", "2025-06-18"), lasting("1.13", "2024-06-12"), lasting("1.12", "2023-06-19"),
    ] },
    // The version of the default Debian suite. The last three majors get fixes.
    Releases { tool: "erlang", default: "27", lines: &[
        lasting("29", ""), lasting("28", ""), lasting("27", ""), lasting("26", "2026-05-01"), lasting("25", "2025-05-20"), lasting("24", "2024-05-20"),
    ] },
    // The version of the default Debian suite.
    Releases { tool: "ghc", default: "9.6", lines: &[
        lasting("9.12", ""), lasting("9.10", ""), lasting("9.8", ""), lasting("9.6", ""), lasting("9.4", ""), lasting("9.2", ""), lasting("9.0", ""),
    ] },
    // The older of the two supported lines.
    Releases { tool: "go", default: "1.26", lines: &[lasting("1.27", ""), lasting("1.26", ""), lasting("1.25", "2026-08-11")] },
    // Source: the long-term lines of OpenJDK's builds.
    Releases { tool: "jdk", default: "21", lines: &[
        brief("26", "2026-09-15"), lasting("25", "2031-09-30"), brief("24", "2025-09-16"), brief("23", "2025-03-18"), brief("22", "2024-09-17"),
        lasting("21", "2029-12-31"), brief("20", "2023-09-19"), brief("19", "2023-03-21"), brief("18", "2022-09-20"), lasting("17", "2027-10-31"),
        lasting("11", "2027-10-31"), lasting("8", "2030-12-31"),
    ] },
    // Source: lua.org. 5.1 lives on in LuaJIT.
    Releases { tool: "lua", default: "5.4", lines: &[lasting("5.4", ""), lasting("5.3", ""), lasting("5.2", ""), lasting("5.1", "")] },
    // Source: nodejs/Release schedule. 26 has been long-term since October 2026.
    Releases { tool: "nodejs", default: "24", lines: &[
        lasting("26", "2029-04-30"), brief("25", "2026-06-01"), lasting("24", "2028-04-30"), brief("23", "2025-06-01"), lasting("22", "2027-04-30"),
        brief("21", "2024-06-01"), lasting("20", "2026-04-30"), brief("19", "2023-06-01"), lasting("18", "2025-04-30"), lasting("16", "2023-09-11"),
        lasting("14", "2023-04-30"), lasting("12", "2022-04-30"),
    ] },
    // The version of the default Debian suite.
    Releases { tool: "ocaml", default: "5.3", lines: &[lasting("5.4", ""), lasting("5.3", ""), lasting("5.2", ""), lasting("5.1", ""), lasting("4.14", ""), lasting("4.13", "")] },
    // The version of the default Debian suite, which Debian fixes for longer than Perl's authors.
    Releases { tool: "perl", default: "5.40", lines: &[lasting("5.42", ""), lasting("5.40", ""), lasting("5.38", ""), lasting("5.36", "")] },
    Releases { tool: "php", default: "8.4", lines: &[
        lasting("8.5", "2029-12-31"), lasting("8.4", "2028-12-31"), lasting("8.3", "2027-12-31"), lasting("8.2", "2026-12-31"),
        lasting("8.1", "2025-12-31"), lasting("8.0", "2023-11-26"), lasting("7.4", "2022-11-28"),
    ] },
    // The version of the default Debian suite.
    Releases { tool: "python", default: "3.13", lines: &[
        lasting("3.14", "2030-10-31"), lasting("3.13", "2029-10-31"), lasting("3.12", "2028-10-31"), lasting("3.11", "2027-10-31"),
        lasting("3.10", "2026-10-31"), lasting("3.9", "2025-10-31"), lasting("3.8", "2024-10-07"),
    ] },
    // The version of the default Debian suite.
    Releases { tool: "ruby", default: "3.3", lines: &[
        lasting("4.0", "2029-03-31"), lasting("3.4", "2028-03-31"), lasting("3.3", "2027-03-31"), lasting("3.2", "2026-03-31"),
        lasting("3.1", "2025-03-26"), lasting("3.0", "2024-04-23"), lasting("2.7", "2023-03-31"),
    ] },
    // The newest that the default Debian suite has. Each release replaces the one before it; a line lives six weeks.
    Releases { tool: "rust", default: "1.96", lines: &[lasting("1.96", "")] },
    // The launcher fetches the sbt that a build asks for; most plugins are not yet there for 2.
    Releases { tool: "sbt", default: "1", lines: &[lasting("2", ""), lasting("1", "")] },
    // The version of the default Debian suite.
    Releases { tool: "swift", default: "6.0", lines: &[lasting("6.0", "")] },
    // Before 1.0 each minor release breaks programs; build.zig.zon has said since 0.14 which one it is for.
    Releases { tool: "zig", default: "0.15", lines: &[lasting("0.17", ""), lasting("0.16", ""), lasting("0.15", ""), lasting("0.14", ""), lasting("0.13", "")] },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_sorted_and_defaults_are_lines_with_fixes() {
        assert!(TABLE.windows(2).all(|pair| pair[0].tool < pair[1].tool));
        for releases in TABLE {
            let line = releases
                .lines
                .iter()
                .find(|line| line.name == releases.default)
                .unwrap_or_else(|| panic!("{}", releases.tool));
            assert!(line.lasting && (line.until.is_empty() || line.until > DATE));
        }
    }
}

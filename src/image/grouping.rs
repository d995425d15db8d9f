//! Which store paths share a layer: those that the same large packages need.
//!
//! The largest paths, one after the other, get a layer of their own with what only they need; what
//! several of them need together is a layer too. So a layer changes when what it holds changes, and
//! large layers are shared by images that share a package. The rule is the one that nixpkgs layers its
//! images by since 2024; the same paths give the same layers, whatever their order.

use std::collections::{BTreeMap, BTreeSet};

/// A path that is too small for a layer of its own: downloading it costs less than asking for it.
const SMALL: u64 = 1 << 20;

/// A store path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its path, which names it.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// The paths of what it needs.
    pub references: Vec<String>,
}

/// The graph, with everything that each path needs and everything that needs it.
struct Graph {
    below: Vec<BTreeSet<usize>>,
    above: Vec<BTreeSet<usize>>,
}

/// The numbers of the paths that each layer holds, what is needed first; at most `budget` layers.
pub fn group(nodes: &[Node], budget: usize) -> Vec<Vec<usize>> {
    let graph = Graph::of(nodes);
    let mut marks: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes.len()];
    for large in largest(nodes) {
        let marked = mark(&graph, &marks, large);
        if marked.iter().collect::<BTreeSet<_>>().len() > budget.max(1) {
            break;
        }
        marks = marked;
    }
    let mut groups: BTreeMap<&BTreeSet<usize>, Vec<usize>> = BTreeMap::new();
    for (number, mark) in marks.iter().enumerate() {
        groups.entry(mark).or_default().push(number);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by_key(|number| name(&nodes[*number].path));
    }
    let needed = |group: &[usize]| -> u64 {
        let mut all: BTreeSet<usize> = group.iter().copied().collect();
        all.extend(group.iter().flat_map(|number| &graph.below[*number]));
        all.iter().map(|number| nodes[*number].size).sum()
    };
    groups.sort_by_cached_key(|group| {
        let first = group.first().map(|number| name(&nodes[*number].path));
        (
            needed(group),
            first.map(|(name, hash)| (name.to_owned(), hash.to_owned())),
        )
    });
    groups
}

/// The marks after one more path got its own: it, and what it needs without another marked one between.
fn mark(graph: &Graph, marks: &[BTreeSet<usize>], large: usize) -> Vec<BTreeSet<usize>> {
    let mut marks = marks.to_vec();
    marks[large] = BTreeSet::from([large]);
    for needed in &graph.below[large] {
        let mark = &mut marks[*needed];
        mark.retain(|other| !graph.above[large].contains(other));
        if mark.is_disjoint(&graph.below[large]) {
            mark.insert(large);
        }
    }
    marks
}

/// The paths that may have a layer of their own, the largest first.
fn largest(nodes: &[Node]) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..nodes.len())
        .filter(|number| nodes[*number].size >= SMALL)
        .collect();
    numbers.sort_by(|a, b| {
        let (a, b) = (&nodes[*a], &nodes[*b]);
        b.size
            .cmp(&a.size)
            .then_with(|| name(&a.path).cmp(&name(&b.path)))
    });
    numbers
}

/// What follows the hash, and the hash: ties are broken by what stays the same from release to release.
fn name(path: &str) -> (&str, &str) {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.split_once('-')
        .map_or((base, ""), |(hash, name)| (name, hash))
}

impl Graph {
    fn of(nodes: &[Node]) -> Self {
        let numbers: BTreeMap<&str, usize> = nodes
            .iter()
            .enumerate()
            .map(|(number, node)| (node.path.as_str(), number))
            .collect();
        let direct: Vec<Vec<usize>> = nodes
            .iter()
            .enumerate()
            .map(|(number, node)| {
                let found = node
                    .references
                    .iter()
                    .filter_map(|path| numbers.get(path.as_str()));
                found.copied().filter(|other| *other != number).collect()
            })
            .collect();
        let below: Vec<BTreeSet<usize>> = (0..nodes.len())
            .map(|number| reachable(&direct, number))
            .collect();
        let mut above = vec![BTreeSet::new(); nodes.len()];
        for (number, below) in below.iter().enumerate() {
            for other in below {
                above[*other].insert(number);
            }
        }
        Self { below, above }
    }
}

fn reachable(direct: &[Vec<usize>], from: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut waiting = direct[from].clone();
    while let Some(number) = waiting.pop() {
        if number != from && found.insert(number) {
            waiting.extend(&direct[number]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    /// A path of each name, its size in megabytes and what it needs; the hash is the name's letters.
    fn nodes(list: &[(&str, u64, &[&str])]) -> Vec<Node> {
        let path = |name: &str| format!("/nix/store/{name:a<32}-{name}");
        list.iter()
            .map(|(name, size, needs)| Node {
                path: path(name),
                size: size * MB,
                references: needs.iter().map(|name| path(name)).collect(),
            })
            .collect()
    }

    fn grouped(nodes: &[Node], budget: usize) -> Vec<Vec<String>> {
        let named = |number: &usize| name(&nodes[*number].path).0.to_owned();
        group(nodes, budget)
            .iter()
            .map(|group| group.iter().map(named).collect())
            .collect()
    }

    /// Numbers that look random and are the same each time.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % sides
        }
    }

    /// A graph in which later paths need earlier ones.
    fn random(dice: &mut Dice) -> Vec<Node> {
        let count = 1 + dice.roll(40);
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..count {
            let mut references = Vec::new();
            for other in &nodes {
                if dice.roll(5) == 0 {
                    references.push(other.path.clone());
                }
            }
            let hash = format!("{:032x}", dice.roll(u64::MAX));
            nodes.push(Node {
                path: format!("/nix/store/{hash}-p{number}"),
                size: dice.roll(30) * MB / 4,
                references,
            });
        }
        nodes
    }

    fn shuffled(nodes: &[Node], dice: &mut Dice) -> Vec<Node> {
        let mut left = nodes.to_vec();
        let mut done = Vec::new();
        while !left.is_empty() {
            let at = usize::try_from(dice.roll(left.len() as u64)).unwrap();
            done.push(left.swap_remove(at));
        }
        done
    }

    #[test]
    fn a_package_a_library_that_two_need_and_the_small_rest_have_a_layer_each() {
        let nodes = nodes(&[
            ("env", 0, &["node", "python"]),
            ("node", 100, &["glibc", "icu"]),
            ("python", 60, &["glibc", "sqlite"]),
            ("icu", 30, &["glibc"]),
            ("sqlite", 0, &["glibc"]),
            ("glibc", 20, &[]),
        ]);
        assert_eq!(
            grouped(&nodes, 10),
            [
                vec!["glibc"],
                vec!["icu"],
                vec!["python", "sqlite"],
                vec!["node"],
                vec!["env"],
            ]
        );
    }

    #[test]
    fn a_budget_of_one_is_one_layer() {
        let nodes = nodes(&[("a", 5, &["b"]), ("b", 9, &[]), ("c", 7, &[])]);
        assert_eq!(grouped(&nodes, 1), [["a", "b", "c"]]);
        assert_eq!(grouped(&nodes, 0), [["a", "b", "c"]]);
        assert!(group(&[], 5).is_empty());
    }

    #[test]
    fn every_path_is_in_one_layer_and_there_are_no_more_than_the_budget() {
        let mut dice = Dice(42);
        for _ in 0..300 {
            let nodes = random(&mut dice);
            let budget = usize::try_from(1 + dice.roll(20)).unwrap();
            let groups = group(&nodes, budget);
            assert!(groups.len() <= budget && groups.iter().all(|group| !group.is_empty()));
            let mut all: Vec<usize> = groups.concat();
            all.sort_unstable();
            assert_eq!(all, (0..nodes.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_order_of_the_paths_does_not_matter() {
        let mut dice = Dice(7);
        for _ in 0..200 {
            let nodes = random(&mut dice);
            let other = shuffled(&nodes, &mut dice);
            assert_eq!(grouped(&nodes, 8), grouped(&other, 8));
        }
    }

    #[test]
    fn a_changed_package_rewrites_the_layers_that_hold_it_or_its_users_alone() {
        let mut dice = Dice(99);
        for round in 0..200 {
            let before = random(&mut dice);
            let changed = usize::try_from(dice.roll(before.len() as u64)).unwrap();
            let graph = Graph::of(&before);
            let mut affected = graph.above[changed].clone();
            affected.insert(changed);
            // A new build has another hash, and so has all that names it.
            let renamed: BTreeMap<String, String> = affected
                .iter()
                .map(|number| {
                    let path = &before[*number].path;
                    (
                        path.clone(),
                        format!("/nix/store/{round:z>32}-{}", name(path).0),
                    )
                })
                .collect();
            let new = |path: &String| renamed.get(path).unwrap_or(path).clone();
            let after: Vec<Node> = before
                .iter()
                .map(|node| Node {
                    path: new(&node.path),
                    size: node.size,
                    references: node.references.iter().map(new).collect(),
                })
                .collect();
            let paths = |nodes: &[Node]| -> BTreeSet<Vec<String>> {
                group(nodes, 12)
                    .iter()
                    .map(|group| {
                        group
                            .iter()
                            .map(|number| nodes[*number].path.clone())
                            .collect()
                    })
                    .collect()
            };
            let (old, new) = (paths(&before), paths(&after));
            for rewritten in new.difference(&old) {
                assert!(
                    rewritten
                        .iter()
                        .any(|path| renamed.values().any(|new| new == path))
                );
            }
        }
    }
}

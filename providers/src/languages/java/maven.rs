//! Models of Maven: what a pom.xml and those of its modules say.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use crate::jvm;
use crate::plan::PlanError;
use crate::provider::Evidence;
use crate::read;
use crate::repo::{self, Repo};
use crate::version::Candidate;

/// Deeper trees of modules, and longer chains of properties, are not followed.
const DEPTH: usize = 8;

/// A text whose properties make it longer is not filled any further.
const LENGTH_LIMIT: usize = 4096;

/// What makes a program of a module, by the plugin's name.
const MAKERS: &[&str] = &[
    "helidon-maven-plugin",
    "maven-assembly-plugin",
    "maven-shade-plugin",
    "micronaut-maven-plugin",
    "quarkus-maven-plugin",
    "spring-boot-maven-plugin",
    "thorntail-maven-plugin",
    "wildfly-jar-maven-plugin",
    "wildfly-swarm-plugin",
];

/// A module's model, with properties filled in.
#[derive(Debug, Default, Clone)]
pub(super) struct Pom {
    /// Empty for the root.
    pub(super) folder: String,
    file: String,
    artifact: String,
    version: String,
    pub(super) packaging: String,
    final_name: Option<String>,
    /// `group:artifact` of the parent, and its version.
    pub(super) parent: Option<(String, String)>,
    modules: Vec<String>,
    properties: BTreeMap<String, String>,
    /// `group:artifact` of dependencies, managed or not, and of plugins.
    names: BTreeSet<String>,
    /// What the compiler is told to write: key, value and line.
    release: Option<(String, String, usize)>,
    /// The JDK of a toolchain that is demanded.
    toolchain: Option<(String, usize)>,
    /// Whether the manifest of the jar names a class to start.
    main_class: bool,
    /// Whether the program's jar has a name that is not the module's.
    renamed: bool,
    /// Folders of copied dependencies.
    pub(super) libraries: BTreeSet<String>,
}

impl Pom {
    /// The models of a repository, the root's first.
    pub(super) fn all(repo: &Repo) -> Result<Vec<Self>, PlanError> {
        let mut found = Vec::new();
        let mut open = vec![(String::new(), 0, BTreeMap::new())];
        let mut seen = BTreeSet::new();
        while let Some((folder, depth, inherited)) = open.pop() {
            let file = repo::join(&folder, "pom.xml");
            if depth > DEPTH || !seen.insert(file.clone()) {
                continue;
            }
            let Some(text) = repo.text(&file)? else {
                continue;
            };
            let pom = Self::read(&folder, &file, &text, &inherited)?;
            for module in pom.modules.iter().rev() {
                open.push((
                    repo::join(&folder, module),
                    depth + 1,
                    pom.properties.clone(),
                ));
            }
            found.push(pom);
        }
        Ok(found)
    }

    fn read(
        folder: &str,
        file: &str,
        text: &str,
        inherited: &BTreeMap<String, String>,
    ) -> Result<Self, PlanError> {
        let document = read::xml(file, text)?;
        let root = document.root_element();
        let parent = child(root, "parent");
        let of_parent = |name| parent.and_then(|parent| value(parent, name));
        let mut properties = inherited.clone();
        for property in child(root, "properties").into_iter().flat_map(elements) {
            let text = property.text().unwrap_or_default().trim().to_owned();
            properties.insert(property.tag_name().name().to_owned(), text);
        }
        let artifact = value(root, "artifactId").unwrap_or_default();
        let version = value(root, "version")
            .or_else(|| of_parent("version"))
            .unwrap_or_default();
        properties.insert("project.artifactId".to_owned(), artifact.to_owned());
        properties.insert("project.version".to_owned(), version.to_owned());
        if let Some(version) = of_parent("version") {
            properties.insert("project.parent.version".to_owned(), version.to_owned());
        }
        let mut pom = Self {
            folder: folder.to_owned(),
            file: file.to_owned(),
            artifact: artifact.to_owned(),
            packaging: value(root, "packaging").unwrap_or("jar").to_owned(),
            properties,
            ..Self::default()
        };
        pom.version = pom.fill(version);
        pom.parent = parent.map(|parent| {
            let version = of_parent("version").unwrap_or_default();
            (coordinates(parent), pom.fill(version))
        });
        let modules = root
            .descendants()
            .filter(|node| node.has_tag_name_local("module"));
        pom.modules = modules
            .filter_map(|node| node.text())
            .map(|text| pom.fill(text.trim().trim_start_matches("./")))
            .collect();
        for dependency in root
            .descendants()
            .filter(|node| node.has_tag_name_local("dependency"))
        {
            pom.names.insert(coordinates(dependency));
        }
        pom.read_build(root);
        pom.release = pom.release_of(root);
        Ok(pom)
    }

    fn read_build(&mut self, root: Node) {
        let Some(build) = child(root, "build") else {
            return;
        };
        let properties = self.properties.clone();
        self.final_name = value(build, "finalName").map(|name| self.fill(name));
        for plugin in build
            .descendants()
            .filter(|node| node.has_tag_name_local("plugin"))
        {
            let name = coordinates(plugin);
            let artifact = name.rsplit(':').next().unwrap_or_default();
            let inner = |tag: &str| {
                plugin
                    .descendants()
                    .filter(|node| node.has_tag_name_local(tag))
                    .filter_map(|node| node.text())
                    .map(|text| fill(text.trim(), &properties))
                    .collect::<Vec<_>>()
            };
            match artifact {
                "maven-jar-plugin" => {
                    self.main_class |= !inner("mainClass").is_empty();
                    let prefixes = inner("classpathPrefix");
                    self.libraries.extend(
                        prefixes
                            .iter()
                            .map(|prefix| format!("target/{}", prefix.trim_matches('/'))),
                    );
                }
                "maven-dependency-plugin" => {
                    let folders = inner("outputDirectory");
                    let below = folders
                        .iter()
                        .filter_map(|folder| folder.strip_prefix("${project.build.directory}/"));
                    self.libraries
                        .extend(below.map(|folder| format!("target/{folder}")));
                }
                "maven-assembly-plugin" | "maven-shade-plugin" | "spring-boot-maven-plugin" => {
                    self.renamed |= artifact == "maven-assembly-plugin"
                        || [
                            "shadedArtifactAttached",
                            "outputFile",
                            "finalName",
                            "classifier",
                        ]
                        .iter()
                        .any(|tag| !inner(tag).is_empty());
                }
                "maven-toolchains-plugin" => {
                    let jdk = plugin
                        .descendants()
                        .find(|node| node.has_tag_name_local("jdk"));
                    let found = jdk.and_then(|jdk| value(jdk, "version"));
                    self.toolchain = found.map(|text| (self.fill(text), line(plugin)));
                }
                _ => {}
            }
            self.names.insert(name);
        }
    }

    /// What the compiler is told to write for.
    fn release_of(&self, root: Node) -> Option<(String, String, usize)> {
        const KEYS: &[&str] = &[
            "maven.compiler.release",
            "maven.compiler.source",
            "maven.compiler.target",
            "java.version",
            "kotlin.compiler.jvmTarget",
        ];
        let properties = child(root, "properties");
        let by_property = KEYS.iter().find_map(|key| {
            let node = child(properties?, key)?;
            let text = self.fill(node.text()?.trim());
            Some(((*key).to_owned(), text, line(node)))
        });
        by_property.or_else(|| {
            let plugin = root.descendants().find(|node| {
                node.has_tag_name_local("plugin")
                    && value(*node, "artifactId") == Some("maven-compiler-plugin")
            })?;
            let configuration = child(plugin, "configuration")?;
            ["release", "source", "target"].iter().find_map(|key| {
                let node = child(configuration, key)?;
                let text = self.fill(node.text()?.trim());
                Some((format!("maven-compiler-plugin.{key}"), text, line(node)))
            })
        })
    }

    fn fill(&self, text: &str) -> String {
        fill(text, &self.properties)
    }

    /// What the model says of the JDK.
    pub(super) fn jdk(&self) -> Option<Candidate> {
        if let Some((text, line)) = &self.toolchain {
            let evidence = Evidence::key(&self.file, "toolchains.jdk", Some(*line), text);
            return Some(Candidate::new(&jvm::line(text), evidence));
        }
        let least = self.release.as_ref().and_then(|(key, text, line)| {
            let evidence = Evidence::key(&self.file, key, Some(*line), text);
            Some(Candidate::new(&jvm::compiles_for(text)?, evidence))
        });
        if !self.spring_before_21() {
            return least;
        }
        let evidence = Evidence::key(&self.file, "parent", None, "Spring Boot before 3.2");
        let mut found = least.unwrap_or_else(|| Candidate::new("", evidence));
        let newer = (18..30).any(|line| found.text == format!(">={line}"));
        if !newer {
            found.text.push_str(" <18");
        }
        Some(found)
    }

    /// Whether it is for a Spring Boot whose own tests ended with Java 17 or earlier.
    fn spring_before_21(&self) -> bool {
        let number = |text: &str| text.parse::<u32>().ok();
        let Some((name, version)) = &self.parent else {
            return false;
        };
        let mut parts = version.split('.');
        name == "org.springframework.boot:spring-boot-starter-parent"
            && match (parts.next().and_then(number), parts.next().and_then(number)) {
                (Some(major), Some(minor)) => (major, minor) < (3, 2),
                _ => false,
            }
    }

    /// Whether something in it has a name that starts so.
    pub(super) fn mentions(&self, prefix: &str) -> bool {
        let parent = self.parent.as_ref().map(|(name, _)| name);
        self.names
            .iter()
            .chain(parent)
            .any(|name| name.starts_with(prefix))
    }

    /// Whether it says how a program comes out of it.
    pub(super) fn makes_program(&self) -> bool {
        let artifact = |name: &String| name.rsplit(':').next().unwrap_or_default().to_owned();
        self.packaging != "pom"
            && (self.main_class
                || self
                    .names
                    .iter()
                    .any(|name| MAKERS.contains(&artifact(name).as_str())))
    }

    /// The file that it makes, below its folder, when it is sure.
    pub(super) fn archive(&self) -> Option<String> {
        let name = self
            .final_name
            .clone()
            .unwrap_or_else(|| format!("{}-{}", self.artifact, self.version));
        let named = self.final_name.is_some() || !self.version.is_empty();
        let known = named && !self.renamed && !self.artifact.is_empty() && !name.contains("${");
        known.then(|| format!("target/{name}.{}", self.ending()))
    }

    pub(super) fn ending(&self) -> &'static str {
        if self.packaging == "war" {
            "war"
        } else {
            "jar"
        }
    }
}

/// A text with the properties in it.
fn fill(text: &str, properties: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for _ in 0..DEPTH {
        let reference = text
            .split_once("${")
            .and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
        let Some((before, (name, after))) = reference else {
            break;
        };
        let Some(value) = properties.get(name) else {
            break;
        };
        text = format!("{before}{value}{after}");
        if text.len() > LENGTH_LIMIT {
            break;
        }
    }
    text
}

/// Tags by their local name, whatever the namespace.
trait Local {
    fn has_tag_name_local(&self, name: &str) -> bool;
}

impl Local for Node<'_, '_> {
    fn has_tag_name_local(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

fn elements<'a, 'd>(node: Node<'a, 'd>) -> impl Iterator<Item = Node<'a, 'd>> {
    node.children().filter(Node::is_element)
}

fn child<'a, 'd>(node: Node<'a, 'd>, name: &str) -> Option<Node<'a, 'd>> {
    elements(node).find(|node| node.has_tag_name_local(name))
}

fn value<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?
        .text()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// `group:artifact`; plugins of Maven's own need no group.
fn coordinates(node: Node) -> String {
    let group = value(node, "groupId").unwrap_or_default();
    format!("{group}:{}", value(node, "artifactId").unwrap_or_default())
}

fn line(node: Node) -> usize {
    let place = node.document().text_pos_at(node.range().start);
    usize::try_from(place.row).unwrap_or(usize::MAX)
}

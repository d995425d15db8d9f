//! What the command line of Clojure is made of: its resolver, and a small program that calls functions.

/// The jars that `org.clojure:tools.deps` needs, as Maven resolves them from its model, without the transport of S3 and
/// annotations, and with a logger that says nothing. Source: `mvn dependency:list`, 2026-11-25.
pub(super) const LIBRARIES: &[(&str, &str)] = &[
    ("com.google.code.gson:gson", "2.13.2"),
    ("commons-codec:commons-codec", "1.21.0"),
    ("eu.maveniverse.maven.mima:context", "2.4.48"),
    ("eu.maveniverse.maven.mima.extensions:mhc4", "2.4.48"),
    ("eu.maveniverse.maven.mima.extensions:mmr", "2.4.48"),
    (
        "eu.maveniverse.maven.mima.runtime:standalone-shared",
        "2.4.48",
    ),
    (
        "eu.maveniverse.maven.mima.runtime:standalone-static",
        "2.4.48",
    ),
    ("org.apache.httpcomponents:httpclient", "4.5.14"),
    ("org.apache.httpcomponents:httpcore", "4.4.16"),
    ("org.apache.maven:maven-artifact", "3.9.16"),
    ("org.apache.maven:maven-builder-support", "3.9.16"),
    ("org.apache.maven:maven-model", "3.9.16"),
    ("org.apache.maven:maven-model-builder", "3.9.16"),
    ("org.apache.maven:maven-repository-metadata", "3.9.16"),
    ("org.apache.maven:maven-resolver-provider", "3.9.16"),
    ("org.apache.maven:maven-settings", "3.9.16"),
    ("org.apache.maven:maven-settings-builder", "3.9.16"),
    ("org.apache.maven.resolver:maven-resolver-api", "1.9.27"),
    (
        "org.apache.maven.resolver:maven-resolver-connector-basic",
        "1.9.27",
    ),
    ("org.apache.maven.resolver:maven-resolver-impl", "1.9.27"),
    (
        "org.apache.maven.resolver:maven-resolver-named-locks",
        "1.9.27",
    ),
    ("org.apache.maven.resolver:maven-resolver-spi", "1.9.27"),
    (
        "org.apache.maven.resolver:maven-resolver-supplier",
        "1.9.27",
    ),
    (
        "org.apache.maven.resolver:maven-resolver-transport-file",
        "1.9.27",
    ),
    (
        "org.apache.maven.resolver:maven-resolver-transport-http",
        "1.9.27",
    ),
    ("org.apache.maven.resolver:maven-resolver-util", "1.9.27"),
    ("org.clojure:core.specs.alpha", "0.4.74"),
    ("org.clojure:data.xml", "0.2.0-alpha11"),
    ("org.clojure:spec.alpha", "0.5.238"),
    ("org.clojure:tools.cli", "1.4.256"),
    ("org.clojure:tools.deps", "0.31.1646"),
    ("org.clojure:tools.deps.edn", "0.9.48"),
    ("org.clojure:tools.gitlibs", "2.6.217"),
    ("org.codehaus.plexus:plexus-cipher", "2.0"),
    ("org.codehaus.plexus:plexus-interpolation", "1.29"),
    ("org.codehaus.plexus:plexus-sec-dispatcher", "2.0"),
    ("org.codehaus.plexus:plexus-utils", "3.6.1"),
    ("org.ow2.asm:asm", "9.9.1"),
    ("org.slf4j:jcl-over-slf4j", "1.7.36"),
    ("org.slf4j:slf4j-api", "1.7.36"),
    ("org.slf4j:slf4j-nop", "1.7.36"),
];

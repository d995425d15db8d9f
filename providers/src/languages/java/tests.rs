use super::*;
use crate::provider::Request;

fn proposal(files: &[(&str, &str)]) -> Proposal {
    crate::languages::proposed(&Java, files, &[])
}

fn command(proposal: &Proposal) -> String {
    proposal.plan.phases["build"].cmds.clone().unwrap()[0].clone()
}

const SPRING: &str = "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">
  <parent><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-parent</artifactId><version>3.3.0</version></parent>
  <artifactId>shop</artifactId><version>${revision}</version>
  <properties><revision>1.2</revision><java.version>17</java.version></properties>
  <build><plugins><plugin><groupId>org.springframework.boot</groupId><artifactId>spring-boot-maven-plugin</artifactId></plugin></plugins></build>
</project>";

#[test]
fn spring_boot_gets_the_default_jdk_and_its_own_jar() {
    let proposal = proposal(&[("pom.xml", SPRING), ("src/main/resources/x", "")]);
    assert_eq!(proposal.tools(), ["jdk@21", "jre@21", "maven"]);
    let (command, files) = proposal.started();
    assert_eq!(
        command,
        "java -Dserver.port=$PORT $JAVA_OPTS -jar target/shop-1.2.jar"
    );
    assert_eq!(files, ["target/shop-1.2.jar"]);
    assert_eq!(proposal.metadata, ["java", "spring-boot"]);
}

#[test]
fn an_old_spring_boot_gets_java_17() {
    let old = SPRING.replace("3.3.0", "2.7.1").replace(">17<", ">11<");
    assert_eq!(
        proposal(&[("pom.xml", &old)]).tools(),
        ["jdk@17", "jre@17", "maven"]
    );
}

#[test]
fn a_module_makes_the_program() {
    let proposal = proposal(&[
        (
            "pom.xml",
            "<project><artifactId>all</artifactId><version>1</version><packaging>pom</packaging><modules><module>lib</module><module>web</module></modules></project>",
        ),
        (
            "lib/pom.xml",
            "<project><parent><artifactId>all</artifactId><version>1</version></parent><artifactId>lib</artifactId></project>",
        ),
        (
            "web/pom.xml",
            "<project><parent><artifactId>all</artifactId><version>1</version></parent><artifactId>web</artifactId>
             <build><plugins><plugin><artifactId>maven-shade-plugin</artifactId></plugin></plugins></build></project>",
        ),
    ]);
    assert_eq!(
        proposal.started().0,
        "java $JAVA_OPTS -jar web/target/web-1.jar"
    );
}

#[test]
fn a_name_that_only_the_build_knows_is_found_by_the_shell() {
    let proposal = proposal(&[(
        "pom.xml",
        "<project><artifactId>a</artifactId><version>${unknown}</version></project>",
    )]);
    let (command, files) = proposal.started();
    assert_eq!(
        command,
        "java $JAVA_OPTS -jar $(ls -1 target/*.jar | grep -vE '(-(sources|javadoc|tests|plain)\\.jar$)|/original-' | head -n 1)"
    );
    assert_eq!(files[0], "target/*.jar");
    assert!(proposal.warnings[0].contains("mainClass"));
}

#[test]
fn a_war_that_nothing_can_run_is_warned_of() {
    let proposal = proposal(&[(
        "pom.xml",
        "<project><artifactId>a</artifactId><version>1</version><packaging>war</packaging></project>",
    )]);
    assert_eq!(proposal.started().0, "java $JAVA_OPTS -jar target/a-1.war");
    assert!(proposal.warnings[0].contains("servlet container"));
}

#[test]
fn the_wrapper_of_maven_is_made_executable_and_readable() {
    let properties = (
        ".mvn/wrapper/maven-wrapper.properties",
        "distributionUrl=x\n",
    );
    let unix = proposal(&[("pom.xml", SPRING), ("mvnw", "#!/bin/sh\n"), properties]);
    assert_eq!(unix.tools(), ["jdk@21", "jre@21"]);
    assert!(command(&unix).starts_with("chmod +x ./mvnw && ./mvnw -D"));
    let windows = proposal(&[("pom.xml", SPRING), ("mvnw", "#!/bin/sh\r\n"), properties]);
    assert!(command(&windows).starts_with("sed -i 's/\\r$//' mvnw && chmod +x ./mvnw && ./mvnw"));
}

#[test]
fn a_broken_model_names_its_place() {
    let repo = Repo::in_memory(&[("pom.xml", "<project>\n<a></b></project>")]);
    let request = Request {
        repo: &repo,
        variables: &std::collections::BTreeMap::new(),
        test: false,
        assisting: false,
    };
    let error = Java.propose(&request).unwrap_err().to_string();
    assert!(error.starts_with("pom.xml:2:"), "{error}");
}

const WRAPPER: (&str, &str) = (
    "gradle/wrapper/gradle-wrapper.properties",
    "distributionUrl=https\\://services.test/gradle-8.10.2-bin.zip\n",
);

#[test]
fn gradle_with_spring_boot_of_a_catalog() {
    let proposal = proposal(&[
        ("gradlew", "#!/bin/sh\n"),
        WRAPPER,
        (
            "gradle/libs.versions.toml",
            "[plugins]\nspring-boot = { id = \"org.springframework.boot\", version = \"3.3.0\" }\n",
        ),
        (
            "build.gradle.kts",
            "plugins { alias(libs.plugins.spring.boot) } // id(\"application\")\njava { toolchain { languageVersion = JavaLanguageVersion.of(17) } }\n",
        ),
    ]);
    assert_eq!(proposal.tools(), ["jdk@17", "jre@17"]);
    assert_eq!(
        command(&proposal),
        "chmod +x ./gradlew && ./gradlew clean build -x check -x test"
    );
    assert!(
        proposal
            .started()
            .0
            .starts_with("java -Dserver.port=$PORT $JAVA_OPTS -jar $(ls -1 build/libs/*.jar")
    );
}

#[test]
fn the_application_plugin_installs_a_script() {
    let proposal = proposal(&[
        (
            "settings.gradle",
            "rootProject.name = 'all'\ninclude('app', \"lib\")\n",
        ),
        (
            "app/build.gradle",
            "plugins { id 'application' }\nsourceCompatibility = JavaVersion.VERSION_1_8\n",
        ),
    ]);
    assert_eq!(proposal.tools(), ["jdk@21", "jre@21", "gradle@8"]);
    assert_eq!(
        command(&proposal),
        "gradle clean build installDist -x check -x test"
    );
    assert_eq!(proposal.started().0, "./app/build/install/app/bin/app");
    assert_eq!(proposal.started().1, ["app/build/install/app"]);
}

/// The plan of a build of Gradle 8 with a script.
fn gradle(files: &[(&str, &str)]) -> Proposal {
    let mut all = vec![("gradlew", "#!/bin/sh\n"), WRAPPER];
    all.extend(files);
    proposal(&all)
}

#[test]
fn ktor_with_versions_of_a_catalog_starts_its_fat_jar() {
    let catalog = "[versions]\njava-line = \"17\"\nktor = { strictly = \"3.0.0\" }\n[plugins]\nktor = { id = \"io.ktor.plugin\", version.ref = \"ktor\" }\n";
    let script = "plugins { kotlin(\"jvm\") version \"2.2.0\"; alias(libs.plugins.ktor) }\nkotlin { jvmToolchain(libs.versions.java.line.get().toInt()) }\n";
    let plain = gradle(&[
        ("gradle/libs.versions.toml", catalog),
        ("build.gradle.kts", script),
    ]);
    assert_eq!(plain.tools()[0], "jdk@17");
    assert_eq!(plain.started().1, ["build/libs/*-all.jar"]);
    assert!(command(&plain).ends_with("./gradlew clean build shadowJar -x check -x test"));
    let named = format!("{script}ktor {{ fatJar {{ archiveFileName.set(\"shop.jar\") }} }}\n");
    let named = gradle(&[
        ("gradle/libs.versions.toml", catalog),
        ("build.gradle.kts", &named),
    ]);
    assert_eq!(
        named.started().0,
        "java $JAVA_OPTS -jar build/libs/shop.jar"
    );
}

#[test]
fn a_plugin_that_the_root_only_makes_known_is_not_its_own() {
    let proposal = gradle(&[
        ("settings.gradle.kts", "include(\":lib\", \":app\")\n"),
        (
            "build.gradle.kts",
            "plugins { id(\"org.springframework.boot\") version \"3.3.0\" apply false\n kotlin(\"jvm\") version \"2.0.0\" apply false }\n",
        ),
        ("lib/build.gradle.kts", "plugins { kotlin(\"jvm\") }\n"),
        (
            "app/build.gradle.kts",
            "plugins { id(\"org.springframework.boot\")\n kotlin(\"jvm\") apply false }\nkotlin { compilerOptions { jvmTarget.set(JvmTarget.JVM_17) } }\n",
        ),
    ]);
    assert_eq!(proposal.tools()[0], "jdk@21");
    assert_eq!(proposal.started().1, ["app/build/libs/*.jar"]);
    assert_eq!(proposal.metadata, ["java", "spring-boot"]);
}

#[test]
fn plugins_that_are_scripts_of_the_repository_are_read() {
    let proposal = gradle(&[
        (
            "settings.gradle.kts",
            "rootProject.name = \"shop\"\ninclude(\"app\", \"list\")\n",
        ),
        (
            "app/build.gradle.kts",
            "plugins { id(\"build.application\") }\n",
        ),
        (
            "list/build.gradle.kts",
            "plugins { id(\"build.common\") }\n",
        ),
        (
            "buildSrc/src/main/kotlin/build.application.gradle.kts",
            "plugins { id(\"build.common\")\n application }\n",
        ),
        (
            "buildSrc/src/main/kotlin/build.common.gradle.kts",
            "plugins { id(\"build.application\") apply false; java }\njava { toolchain { languageVersion = JavaLanguageVersion.of(17) } }\n",
        ),
    ]);
    assert_eq!(proposal.tools()[0], "jdk@17");
    assert_eq!(proposal.started().0, "./app/build/install/app/bin/app");
}

#[test]
fn a_root_without_a_name_has_that_of_its_folder() {
    let script = "plugins { id 'application' }\n";
    let plain = gradle(&[("build.gradle", script)]);
    assert_eq!(plain.started().0, "./build/install/app/bin/app");
    let named = format!("{script}application {{ applicationName = 'shop' }}\n");
    let named = gradle(&[("build.gradle", &named)]);
    assert_eq!(named.started().0, "./build/install/shop/bin/shop");
}

#[test]
fn an_old_gradle_runs_on_an_old_jdk() {
    for (version, jdk) in [("4.4.1", "8"), ("6.9", "11"), ("7.6", "17"), ("9.2", "21")] {
        let text = format!("distributionUrl=https\\://services.test/gradle-{version}-bin.zip\n");
        let proposal = proposal(&[
            ("gradlew", ""),
            ("gradle/wrapper/gradle-wrapper.properties", &text),
        ]);
        assert_eq!(
            proposal.tools(),
            [format!("jdk@{jdk}"), format!("jre@{jdk}")],
            "{version}"
        );
    }
}

use super::*;
use crate::languages::proposed;

const PACKAGER: (&str, &str) = (
    "project/plugins.sbt",
    "// addSbtPlugin(\"com.eed3si9n\" % \"sbt-assembly\" % \"2.3.1\")\naddSbtPlugin(\"com.github.sbt\" % \"sbt-native-packager\" % \"1.11.7\")\n",
);
const ASSEMBLY: (&str, &str) = (
    "project/assembly.sbt",
    "addSbtPlugin(\"com.eed3si9n\" % \"sbt-assembly\" % \"2.3.1\")",
);
const SBT: (&str, &str) = (PROPERTIES, "sbt.version=1.12.9\n");

#[test]
fn the_script_of_stage_has_the_name_of_the_project() {
    let build = "ThisBuild / scalaVersion := \"3.3.7\"\n\nlazy val root = (project in file(\".\"))\n  .enablePlugins(JavaAppPackaging)\n  .settings(\n    name := \"Tide Tables\", // name := \"no\"\n  )\n";
    let proposal = proposed(&Scala, &[(BUILD, build), PACKAGER, SBT], &[]);
    assert_eq!(proposal.tools(), ["jdk@21", "sbt@1.12.9", "jre@21", "mawk"]);
    assert_eq!(proposal.commands("build"), ["sbt stage"]);
    let (command, files) = proposal.started();
    assert_eq!(command, "./target/universal/stage/bin/tide-tables");
    assert_eq!(files, ["target/universal/stage"]);
}

#[test]
fn settings_without_a_project_are_those_of_the_root() {
    let build = "name := appName\nval appName = \"x\"\nscalaVersion := \"2.12.10\"\nenablePlugins(JavaServerAppPackaging)\nexecutableScriptName := \"main\"\nTest / name := \"no\"\n";
    let proposal = proposed(&Scala, &[(BUILD, build), PACKAGER], &[]);
    assert_eq!(proposal.started().0, "./target/universal/stage/bin/main");
    assert_eq!(proposal.tools(), ["jdk@11", "sbt@1", "jre@11", "mawk"]);
}

#[test]
fn the_project_that_is_packed_is_the_program() {
    let build = "val common = Seq(scalaVersion := \"2.13.16\")\nlazy val core = project.settings(common)\nlazy val web = (project in file(\"modules/web\"))\n  .dependsOn(core)\n  .enablePlugins(PlayScala)\n  .settings(common: _*)\nlazy val root = project in file(\".\") aggregate (core, web)\n";
    let play = (
        "project/plugins.sbt",
        "addSbtPlugin(\"org.playframework\" % \"sbt-plugin\" % \"3.0.6\")",
    );
    let proposal = proposed(&Scala, &[(BUILD, build), play, SBT], &[]);
    assert_eq!(proposal.commands("build"), ["sbt web/stage"]);
    assert_eq!(
        proposal.started().0,
        "./modules/web/target/universal/stage/bin/web -Dhttp.port=$PORT -Dpidfile.path=/dev/null"
    );
    assert_eq!(proposal.metadata, ["scala", "play"]);
}

#[test]
fn a_script_that_only_sbt_can_name_is_found_by_the_shell() {
    let build = "name := sys.env(\"NAME\")\n";
    let proposal = proposed(&Scala, &[(BUILD, build), PACKAGER], &[]);
    assert_eq!(
        proposal.started().0,
        "$(ls -1 ./target/universal/stage/bin/* | grep -v '\\.bat$' | head -n 1)"
    );
}

#[test]
fn assembly_makes_one_jar() {
    let build = "lazy val server = project.settings(\n  name := \"Shop\",\n  version := \"1.2\",\n  scalaVersion := \"2.13.16\",\n  assembly / mainClass := Some(\"a.B\")\n)\n";
    let proposal = proposed(&Scala, &[(BUILD, build), ASSEMBLY, SBT], &[]);
    assert_eq!(proposal.commands("build"), ["sbt server/assembly"]);
    assert_eq!(
        proposal.started().0,
        "java $JAVA_OPTS -jar server/target/scala-2.13/Shop-assembly-1.2.jar"
    );
    let build = build
        .replace("project.settings", "(project in file(\".\")).settings")
        .replace(
            "\"1.2\",",
            "\"1.2\", assembly / assemblyJarName := s\"${name.value}.jar\",",
        );
    let proposal = proposed(&Scala, &[(BUILD, &build), ASSEMBLY, SBT], &[]);
    assert_eq!(proposal.commands("build"), ["sbt assembly"]);
    let (command, files) = proposal.started();
    assert!(
        command.starts_with("java $JAVA_OPTS -jar $(ls -1 target/scala-2.13/*.jar |"),
        "{command}"
    );
    assert_eq!(files, ["target/scala-2.13/*.jar"]);
}

#[test]
fn without_a_packaging_plugin_the_class_path_is_copied() {
    let proposal = proposed(&Scala, &[(BUILD, ""), SBT], &[]);
    assert!(
        proposal.commands("build")[1]
            .contains("'export Runtime/fullClasspathAsJars' 'show Compile/mainClass'")
    );
    let (command, files) = proposal.started();
    assert_eq!(command, "java $JAVA_OPTS @target/app/arguments");
    assert_eq!(files, ["target/app/arguments", "target/app/lib"]);
}

#[test]
fn sbt_2_keeps_all_targets_together() {
    let build = "name := \"a\"\nenablePlugins(JavaAppPackaging)\n";
    let files = [
        (BUILD, build),
        PACKAGER,
        (PROPERTIES, "sbt.version = 2.0.1\n"),
    ];
    let (command, files) = proposed(&Scala, &files, &[]).started();
    assert_eq!(
        command,
        "$(ls -1 ./target/out/jvm/scala-*/*/universal/stage/bin/a | grep -v '\\.bat$' | head -n 1)"
    );
    assert_eq!(files, ["target/out/jvm/scala-*/*/universal/stage"]);
}

#[test]
fn the_jdk_is_one_that_sbt_and_scala_run_on() {
    let old = [
        (BUILD, "scalaVersion := \"2.13.16\""),
        (PROPERTIES, "sbt.version=1.8.2"),
    ];
    assert_eq!(proposed(&Scala, &old, &[]).tools()[0], "jdk@17");
    assert_eq!(
        proposed(&Scala, &old, &[("NIXPACKS_JDK_VERSION", "11")]).tools()[0],
        "jdk@11"
    );
    let older = [(BUILD, ""), (PROPERTIES, "sbt.version=0.13.18")];
    assert_eq!(
        proposed(&Scala, &older, &[]).tools(),
        ["jdk@8", "sbt@1", "jre@8"]
    );
    let newer = [
        (
            BUILD,
            "scalaVersion := \"3.7.3\"\nscalacOptions += \"-release:25\"",
        ),
        SBT,
    ];
    assert_eq!(proposed(&Scala, &newer, &[]).tools()[0], "jdk@25");
}

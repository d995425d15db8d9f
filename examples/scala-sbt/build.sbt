ThisBuild / scalaVersion := "3.3.7"
ThisBuild / version := "1.0.0"

lazy val root = (project in file("."))
  .enablePlugins(JavaAppPackaging)
  .settings(
    name := "Moon Phases",
    libraryDependencies += "com.lihaoyi" %% "upickle" % "4.1.0"
  )

use super::*;
use crate::languages::proposed;

const PHOENIX: &str = r#"defmodule A.MixProject do
  def project, do: [app: :a, elixir: "~> 1.14", deps: deps(), aliases: aliases()]
  defp deps, do: [{:phoenix, "~> 1.7"}]
  defp aliases do
    ["assets.deploy": ["tailwind a --minify"], "ecto.setup": ["ecto.create"]]
  end
end"#;

fn commands(proposal: &Proposal, phase: &str) -> Vec<String> {
    proposal.plan.phases[phase].cmds.clone().unwrap_or_default()
}

#[test]
fn phoenix_compiles_makes_assets_and_migrates_nothing() {
    let proposal = proposed(&Elixir, &[(MIX, PHOENIX), (LOCK, "%{}")], &[]);
    assert_eq!(
        commands(&proposal, "install"),
        [
            "mix local.hex --force",
            "mix local.rebar --force",
            "mix deps.get --only prod"
        ]
    );
    assert_eq!(
        commands(&proposal, "build"),
        ["mix compile", "mix assets.deploy"]
    );
    assert_eq!(
        proposal.plan.phases["install"].only_include_files,
        Some(strings(&[MIX, LOCK]))
    );
    let start = proposal.plan.start.unwrap();
    assert_eq!(start.cmd.as_deref(), Some("mix phx.server"));
    assert_eq!(start.nix_pkgs, Some(strings(&["elixir@1.18"])));
    assert_eq!(proposal.metadata, ["elixir", "phoenix"]);
}

#[test]
fn a_release_runs_alone() {
    let mix = "def project, do: [app: :a, releases: [web: []]]";
    let proposal = proposed(&Elixir, &[(MIX, mix)], &[]);
    assert!(!proposal.plan.phases.contains_key("install"));
    assert_eq!(
        commands(&proposal, "build"),
        ["mix compile", "mix release web --overwrite"]
    );
    let start = proposal.plan.start.unwrap();
    assert_eq!(
        start.cmd.as_deref(),
        Some("./_build/prod/rel/web/bin/web start")
    );
    assert_eq!(
        start.only_include_files,
        Some(strings(&["_build/prod/rel/web"]))
    );
}

#[test]
fn versions_of_elixir_and_erlang_have_an_order() {
    let files = [
        (MIX, "[app: :a, elixir: \"~> 1.12\"]"),
        (".tool-versions", "erlang 25.3\nelixir 1.14.5-otp-25\n"),
    ];
    let setup = |proposal: Proposal| proposal.plan.phases["setup"].nix_pkgs.clone().unwrap();
    assert_eq!(
        setup(proposed(&Elixir, &files, &[])),
        ["elixir@1.14.5", "erlang@25.3"]
    );
    let variable = [("NIXPACKS_ELIXIR_VERSION", "1.18")];
    assert_eq!(
        setup(proposed(&Elixir, &files, &variable))[0],
        "elixir@1.18"
    );
}

#[test]
fn an_umbrella_has_the_dependencies_and_assets_of_its_applications() {
    let files = [
        (MIX, "[apps_path: \"apps\", deps: []]"),
        ("apps/a_web/mix.exs", PHOENIX),
    ];
    let proposal = proposed(&Elixir, &files, &[]);
    assert_eq!(
        commands(&proposal, "build"),
        ["mix compile", "(cd apps/a_web && mix assets.deploy)"]
    );
    assert_eq!(proposal.plan.phases["install"].only_include_files, None);
    assert_eq!(
        proposal.plan.start.unwrap().cmd.as_deref(),
        Some("mix phx.server")
    );
}

use super::*;
use std::collections::BTreeMap;

const CSHARP: Language = Language {
    name: "c#",
    ending: "csproj",
    setting: "CSHARP_SDK_VERSION",
};

const WEB: &str = r#"<Project Sdk="Microsoft.NET.Sdk.Web">
  <PropertyGroup>
    <TargetFramework>net8.0</TargetFramework>
  </PropertyGroup>
</Project>"#;

fn propose(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Proposal, PlanError> {
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    CSHARP.propose(&Request {
        repo: &Repo::in_memory(files),
        variables: &variables,
        test: false,
        assisting: false,
    })
}

fn commands(proposal: &Proposal, phase: &str) -> Vec<String> {
    proposal.plan.phases[phase].cmds.clone().unwrap()
}

#[test]
fn a_server_at_the_root_is_published_and_runs_on_its_runtime_alone() {
    let files = [
        ("Shop.csproj", WEB),
        ("appsettings.json", "{}"),
        ("wwwroot/a.css", ""),
        ("Program.cs", ""),
    ];
    let proposal = propose(&files, &[]).unwrap();
    assert_eq!(commands(&proposal, "install"), ["dotnet restore"]);
    assert_eq!(
        commands(&proposal, "build"),
        ["dotnet publish --no-restore -c Release -o out"]
    );
    assert_eq!(
        proposal.plan.phases["install"]
            .only_include_files
            .as_deref(),
        Some(&["Shop.csproj".to_owned()][..])
    );
    let start = proposal.plan.start.unwrap();
    assert_eq!(start.cmd.unwrap(), "./out/Shop");
    assert_eq!(start.nix_pkgs.unwrap(), ["dotnet-aspnetcore@8.0"]);
    assert_eq!(
        start.only_include_files.unwrap(),
        ["out/**", "appsettings.json", "wwwroot/**"]
    );
}

#[test]
fn versions_are_lines_and_the_variable_wins() {
    let global = (
        "global.json",
        "{ // pinned\n \"sdk\": { \"version\": \"9.0.101\" } }",
    );
    let version = |files: &[(&str, &str)], variables: &[(&str, &str)]| {
        propose(files, variables).unwrap().plan.phases["setup"]
            .nix_pkgs
            .clone()
            .unwrap()
    };
    assert_eq!(version(&[("a.csproj", WEB)], &[]), ["dotnet-sdk@8.0"]);
    assert_eq!(
        version(&[("a.csproj", WEB), global], &[]),
        ["dotnet-sdk@9.0"]
    );
    let named = [("NIXPACKS_CSHARP_SDK_VERSION", "10.0")];
    assert_eq!(
        version(&[("a.csproj", WEB), global], &named),
        ["dotnet-sdk@10.0"]
    );
}

#[test]
fn properties_that_projects_share_name_the_framework() {
    let project = r#"<Project Sdk="Microsoft.NET.Sdk.Web"></Project>"#;
    let shared = "<Project><PropertyGroup>\n<TargetFramework>net9.0</TargetFramework></PropertyGroup></Project>";
    let files = [("a.csproj", project), ("Directory.Build.props", shared)];
    let plan = propose(&files, &[]).unwrap().plan;
    assert_eq!(
        plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
        ["dotnet-sdk@9.0"]
    );
}

#[test]
fn of_a_solution_the_server_is_chosen_and_tests_never() {
    let solution = concat!(
        "Microsoft Visual Studio Solution File\n",
        "Project(\"{1}\") = \"Tests\", \"Tests\\Tests.csproj\", \"{2}\"\nEndProject\n",
        "Project(\"{1}\") = \"Lib\", \"Lib\\Lib.csproj\", \"{3}\"\nEndProject\n",
        "Project(\"{1}\") = \"Api\", \"src\\My Api\\Api.csproj\", \"{4}\"\nEndProject\n",
    );
    let library = r#"<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFrameworks>netstandard2.0;net9.0</TargetFrameworks></PropertyGroup></Project>"#;
    let tests = r#"<Project Sdk="Microsoft.NET.Sdk.Web"><ItemGroup><PackageReference Include="Microsoft.NET.Test.Sdk"/></ItemGroup></Project>"#;
    let files = [
        ("All.sln", solution),
        ("Tests/Tests.csproj", tests),
        ("Lib/Lib.csproj", library),
        ("src/My Api/Api.csproj", WEB),
    ];
    let proposal = propose(&files, &[]).unwrap();
    assert_eq!(
        commands(&proposal, "build"),
        ["dotnet publish 'src/My Api/Api.csproj' --no-restore -c Release -o out"]
    );
    assert_eq!(
        proposal.plan.start.unwrap().cmd.unwrap(),
        "cd out && exec ./Api"
    );
    assert!(proposal.plan.phases["install"].only_include_files.is_none());
}

#[test]
fn a_program_that_brings_its_runtime_needs_none_and_has_its_own_name() {
    let project = r#"<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><OutputType>Exe</OutputType>
        <AssemblyName>tool</AssemblyName><SelfContained>true</SelfContained></PropertyGroup></Project>"#;
    let start = propose(&[("a.csproj", project)], &[])
        .unwrap()
        .plan
        .start
        .unwrap();
    assert_eq!(start.cmd.unwrap(), "./out/tool");
    assert!(start.nix_pkgs.unwrap().is_empty());
}

#[test]
fn a_broken_project_names_its_line() {
    let error = propose(&[("a.csproj", "<Project>\n<A></B></Project>")], &[]).unwrap_err();
    assert!(error.to_string().starts_with("a.csproj:2:"), "{error}");
}

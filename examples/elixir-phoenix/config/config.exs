import Config

config :pages, ecto_repos: [Pages.Repo]

module Main (main) where

import qualified Data.Map as Map

main :: IO ()
main = putStrLn (unwords (Map.elems (Map.fromList [(1 :: Int, "hello"), (2, "from"), (3, "Haskell")])))

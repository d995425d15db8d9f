require("node:fs").writeFileSync("prepared.txt", "prepared");

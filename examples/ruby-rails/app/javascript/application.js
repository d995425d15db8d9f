console.log("hello from the bundle");

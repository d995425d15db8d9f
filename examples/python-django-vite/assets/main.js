document.querySelector("p").title = "in flower";

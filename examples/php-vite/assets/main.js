import './main.css';

document.body.append('hello from the bundle');

import streamlit as st

st.title("Streamlit from Packwright")
st.bar_chart({"orders": [3, 1, 4, 1, 5]})

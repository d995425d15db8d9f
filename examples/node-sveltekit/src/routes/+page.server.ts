export const load = ({ url }) => ({ place: url.searchParams.get('place') ?? 'nowhere' });
